//! The one stylesheet.

/// Inlined into each page; light and dark by the reader's own setting.
pub(super) const STYLE: &str = r"
:root{--ink:#1c2024;--soft:#5b6570;--paper:#fff;--line:#dfe3e8;--tint:#f4f6f8;--link:#0b5cad;--good:#1b6e3c;--warn:#8a4b00}
@media (prefers-color-scheme:dark){:root{--ink:#e6e9ec;--soft:#9aa5b1;--paper:#14171a;--line:#2c3238;--tint:#1d2125;--link:#7db8f2;--good:#7fd3a0;--warn:#f0b56b}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}
header,main,footer{max-width:72rem;margin:0 auto;padding:0 1.25rem}
header{border-bottom:1px solid var(--line)}
nav{display:flex;gap:1.25rem;align-items:baseline;padding:.9rem 0;flex-wrap:wrap}
.brand{font-weight:700;font-size:1.15rem;color:var(--ink);text-decoration:none}
a{color:var(--link)}a:focus-visible,summary:focus-visible{outline:3px solid var(--link);outline-offset:2px}
.skip{position:absolute;left:-99rem}.skip:focus{left:1rem;top:.5rem;background:var(--paper);padding:.4rem}
h1{font-size:1.7rem;line-height:1.25;margin:1.6rem 0 .5rem}h2{font-size:1.25rem;margin:2rem 0 .5rem}h3{font-size:1rem;margin:1.2rem 0 .3rem}
p{margin:.5rem 0}.lead{color:var(--soft);max-width:50rem}.soft{color:var(--soft)}
ul.shelf{list-style:none;margin:1.2rem 0;padding:0;display:grid;gap:1rem}
ul.shelf>li{border:1px solid var(--line);border-radius:.5rem;padding:1rem 1.1rem;min-width:0}
ul.shelf h2{margin:0;font-size:1.15rem}
dl.facts{display:flex;flex-wrap:wrap;gap:.3rem 1.6rem;margin:.6rem 0}dl.facts div{display:flex;gap:.4rem}dl.facts dt{color:var(--soft)}dl.facts dd{margin:0}
.badge{display:inline-block;border:1px solid currentColor;border-radius:1rem;padding:0 .55rem;font-size:.8rem;white-space:nowrap}
.open{color:var(--good)}.personal{color:var(--warn)}
details{margin:.5rem 0}summary{cursor:pointer;color:var(--link)}
pre{background:var(--tint);border:1px solid var(--line);border-radius:.4rem;padding:.7rem .85rem;overflow-x:auto;margin:.35rem 0 .8rem;font-size:.86rem;line-height:1.45}
code{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.92em;overflow-wrap:anywhere}pre code{overflow-wrap:normal}
.wide{overflow-x:auto;margin:.6rem 0}
table{border-collapse:collapse;font-size:.9rem;width:100%}th,td{text-align:left;padding:.35rem .7rem .35rem 0;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--soft);font-weight:600;white-space:nowrap}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
td:first-child code{white-space:nowrap}td.type code{overflow-wrap:normal}td.type span{white-space:nowrap}
td.cell{max-width:22rem;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
footer{color:var(--soft);font-size:.88rem;border-top:1px solid var(--line);margin-top:3rem;padding-top:.8rem;padding-bottom:1.5rem}
";
