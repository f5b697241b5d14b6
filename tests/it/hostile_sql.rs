//! Hundreds of hostile queries: each is refused or capped in bounded time, none is a fault of the server, and another
//! client's rows come as if nothing were.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use serde_json::{Value, json};

use crate::shelf::{TestShelf, TestTable, films};

/// What one query may work here.
const TIME: Duration = Duration::from_millis(500);
/// The longest any answer may take on a machine that does other things as well.
const BOUND: Duration = Duration::from_secs(20);

const TITLES: &str = "films.titles";

fn refused() -> Vec<String> {
    let plain = [
        // Files and network.
        "select * from '/etc/passwd'",
        "select * from \"/etc/passwd\"",
        "select * from \"file:///etc/passwd\"",
        "select * from \"s3://bucket\".\"key.parquet\"",
        "select * from 'http://169.254.169.254/latest/meta-data/'",
        "select * from read_parquet('/etc/passwd')",
        "select * from read_csv('/etc/passwd')",
        "select * from read_text('/etc/passwd')",
        "select * from parquet_scan('x')",
        "select * from parquet_metadata('x')",
        "select * from glob('/*')",
        "select * from url('http://localhost/')",
        "select * from dblink('host=localhost')",
        "select pg_read_file('/etc/passwd')",
        "select load_extension('x.so')",
        "select lo_import('/etc/passwd')",
        "select * from films.titles into outfile '/tmp/x'",
        "select id into films.other from films.titles",
        "copy films.titles to '/tmp/x.csv'",
        "copy (select 1) to 's3://bucket/x'",
        "copy films.titles from '/etc/passwd'",
        "unload select * from films.titles to 's3://x'",
        "create external table t stored as csv location '/etc/passwd'",
        "create external table t stored as parquet location 'http://localhost/x'",
        "attach '/tmp/x.db'",
        "load data infile '/etc/passwd' into table films.titles",
        "import from '/etc'",
        "export database '/tmp/x'",
        // Settings and the system.
        "set datafusion.execution.batch_size = 1",
        "set datafusion.catalog.information_schema = true",
        "set global x = 1",
        "reset all",
        "show tables",
        "show all",
        "show columns from films.titles",
        "show create table films.titles",
        "show functions",
        "describe films.titles",
        "explain select 1",
        "explain analyze select count(*) from films.titles",
        "explain format tree select 1",
        "use films",
        "pragma database_list",
        "analyze films.titles",
        "vacuum",
        "begin",
        "commit",
        "rollback",
        "prepare q as select 1",
        "execute q",
        "deallocate q",
        "declare c cursor for select 1",
        "call system('id')",
        "kill 1",
        "grant all on films.titles to public",
        "lock table films.titles",
        "listen x",
        "notify x",
        "comment on table films.titles is 'x'",
        "select * from information_schema.tables",
        "select * from information_schema.df_settings",
        "select * from datafusion.information_schema.columns",
        "select * from pg_catalog.pg_tables",
        "select * from pg_class",
        "select * from sqlite_master",
        "select * from duckdb_settings()",
        "select @@version",
        "select @x",
        "select :x",
        "select $1",
        "select ?",
        "select version()",
        "select current_user",
        "select current_setting('x')",
        "select getenv('HOME')",
        "select input_file_name() from films.titles",
        "select file_row_index() from films.titles",
        // Writing.
        "insert into films.titles values (1)",
        "insert into films.titles select * from films.titles",
        "update films.titles set id = 1",
        "delete from films.titles",
        "truncate films.titles",
        "merge into films.titles using films.titles on true when matched then delete",
        "drop table films.titles",
        "drop schema films cascade",
        "alter table films.titles add x int",
        "create table x as select 1",
        "create view v as select 1",
        "create or replace table films.titles as select 1",
        "create function f() returns int return 1",
        "create index i on films.titles (id)",
        "with x as (delete from films.titles returning *) select * from x",
        "with x as (insert into films.titles values (1) returning *) select * from x",
        // More than one statement, and none.
        "select 1; select 2",
        "select 1; drop table films.titles",
        "select 1;; select 2",
        "; select 1",
        ";",
        "   ",
        "-- only a comment",
        "/* only a comment */",
        "/* not closed select 1",
        "select 1 /* ; drop table x",
        "select 'not closed",
        "select \"not closed",
        "select $$not closed",
        "select E'\\x",
        "select (((",
        "select )))",
        "select",
        "from",
        "\u{0}",
        "select \u{0}",
        "select 1 \u{202e} from",
        "ＳＥＬＥＣＴ 1",
        "select 1 from films\u{2024}titles",
        "select 'a' = \u{2018}a\u{2019}",
        "sel/**/ect 1",
        // Recursion and table functions.
        "with recursive r(n) as (select 1 union all select n + 1 from r) select * from r",
        "with recursive r as (select 1 as n union all select n from r) select count(*) from r",
        "with recursive a as (select * from a) select * from a",
        "with a as (select * from a) select * from a",
        "select * from generate_series(1, 1000000000)",
        "select * from range(1000000000)",
        "select * from unnest(range(1000000000))",
        "select unnest(generate_series(1, 1000000000))",
        "select * from lateral generate_series(1, 10)",
        "select * from table(generate_series(1, 10))",
        "select * from films.titles('x')",
        "select * from films.titles tablesample bernoulli (10)",
        "select * from films.titles for update",
        "select * from films.titles for share",
        "select * from films.titles for system_time as of '2020-01-01'",
        "select * from films.titles with (nolock)",
        "select * from films.titles pivot (sum(id) for year in (1, 2))",
        "select * from films.titles match_recognize (pattern (a) define a as true)",
        "select * from json_table('[1]', '$[*]' columns (a int path '$'))",
        "select * from films.titles format JSON",
        "select * from films.titles settings max_threads = 1",
        "select top 5 * from films.titles",
        "select * from films.titles connect by prior id = year",
        "from films.titles |> where id > 1",
        // Functions that are none here.
        "select repeat('a', 1000000000)",
        "select rpad('a', 1000000000, 'b')",
        "select lpad('a', 2147483647)",
        "select space(1000000000)",
        "select array_repeat(1, 1000000000)",
        "select array_resize(make_array(1), 1000000000, 0)",
        "select range(1, 1000000000)",
        "select generate_series(1, 1000000000)",
        "select random() from films.titles",
        "select uuid()",
        "select now()",
        "select current_timestamp",
        "select sleep(10)",
        "select pg_sleep(10)",
        "select benchmark(1000000000, md5('a'))",
        "select md5('a')",
        "select digest('a', 'sha512')",
        "select arrow_cast(1, 'FixedSizeList(1000000000, Int8)')",
        "select make_map('a', 1)",
        "select array_concat(genres, genres) from films.titles",
        "select array_append(genres, 'x') from films.titles",
        "select genres || genres from films.titles",
        "select eval('1')",
        "select named_struct('a', 1)",
        "select struct(1)",
        "select (1, 2)",
        "select {'a': 1}",
        "select array_transform(make_array(1), x -> x + 1)",
        "select sum(sum(id)) from films.titles",
        "select count(*) from films.titles where count(*) > 1",
        "select row_number() from films.titles",
        "select sum(distinct id) over () from films.titles",
        "select array_agg(id) over (order by id) from films.titles",
        "select median(id) over (order by id) from films.titles",
        "select lag(id, 99999999999999999999) over (order by id) from films.titles",
        "select sum(id) over (order by id rows between 999999999999 preceding and current row) from films.titles",
        // Patterns.
        "select regexp_like(\"Title\", \"Title\") from films.titles",
        "select * from films.titles where \"Title\" ~ \"Title\"",
        "select regexp_like(\"Title\", '(') from films.titles",
        "select regexp_like(\"Title\", '((a{1000}){1000}){1000}') from films.titles",
        "select regexp_replace(\"Title\", '(x+x+)+y{1,100000}', '') from films.titles",
        "select * from films.titles where \"Title\" ~ '\\p{L}{9999}'",
        "select * from films.titles where \"Title\" similar to '%(a|b)*%{5'",
        "select * from films.titles where \"Title\" ~* '[\\w\\W]{500}{500}'",
        // Values that cannot be.
        "select 1 / 0",
        "select 1 % 0",
        "select cast('a' as int)",
        "select cast('9999999999999999999999' as bigint)",
        "select cast(1e300 as int)",
        "select cast('2024-13-45' as date)",
        "select cast(make_array(1, 2) as int)",
        "select 1 / (id - id) from films.titles",
        "select factorial(id) from films.titles",
        "select cast(\"Title\" as int) from films.titles",
        "select make_array(1)[999999999999999999999]",
        "select interval '99999999999999 years'",
        "select date_trunc('century of doom', released) from films.titles",
        "select date_bin(interval '0 seconds', timestamp '2020-01-01') from films.titles",
        "select substr('a', -9223372036854775808, 9223372036854775807)",
        "select split_part('a', '', 0)",
        "select limit 1",
        "select id from films.titles limit -1",
        "select id from films.titles limit 99999999999999999999",
        "select id from films.titles offset -1",
        "select id from films.titles limit id",
        "select nothing from films.titles",
        "select films.nothing.id from films.titles",
        "select * from nothing.titles",
        "select * from films.nothing",
        "select * from titles",
        "select * from a.b.c.d",
        "select * from \"\".\"\"",
        "select * from \"../../etc\".passwd",
        "select * from films.\"../titles\"",
        "select a.* from films.titles b",
        "select * except (nothing) from films.titles",
        "select distinct on (nothing) id from films.titles",
        "select id from films.titles group by cube(a, b)",
        "select id as x, id as x from films.titles",
    ];
    let mut all: Vec<String> = plain.map(str::to_owned).into();
    let nested = |open: &str, inner: &str, close: &str, times: usize| {
        format!("select {}{inner}{}", open.repeat(times), close.repeat(times))
    };
    for times in [100, 1_000, 10_000] {
        all.push(nested("(", "1", ")", times));
        all.push(nested("abs(", "1", ")", times));
        all.push(nested("- ", "1", "", times));
        all.push(nested("not ", "true", "", times));
        all.push(nested("(select ", "1", ")", times));
        all.push(nested("case when true then ", "1", " end", times));
        all.push(nested("cast(", "1", " as int)", times));
        all.push(nested("[", "1", "]", times));
    }
    for times in [2_000, 10_000] {
        all.push(format!("select 1{}", " + 1".repeat(times)));
        all.push(format!("select true{}", " or true".repeat(times)));
        all.push(format!("select 1{}", "::int".repeat(times)));
        all.push(format!("select 1{}", " union all select 1".repeat(times)));
        all.push(format!("select 'a'{}", " || 'a'".repeat(times)));
        all.push(format!("select * from {TITLES}{}", format!(", {TITLES}").repeat(times / 10)));
        all.push(format!("select {}1 from {TITLES}", "id, ".repeat(times)));
    }
    all.push(format!("select '{}'", "a".repeat(60_000)));
    all.push(format!("select '{}'", "a".repeat(200_000)));
    all.push(format!("select \"{}\" from {TITLES}", "a".repeat(30_000)));
    all.push(format!("select * from {TITLES} where \"Title\" ~ '{}'", "a?".repeat(2_000)));
    all.push(format!("select regexp_like(\"Title\", '{}') from {TITLES}", "(a|b)".repeat(400)));
    all.push(format!("select {} from {TITLES}", vec![format!("'{}'", "x".repeat(1_000)); 30].join(" || ")));
    all
}

/// What may be asked, and is capped.
fn heavy() -> Vec<String> {
    let mut all: Vec<String> = [
        "select count(*) from films.titles a, films.titles b, films.titles c, films.titles d",
        "select * from films.titles a, films.titles b, films.titles c",
        "select count(*) from films.titles a, films.titles b, films.titles c where a.id + b.id + c.id = -1",
        "select count(*) from films.titles a join films.titles b on a.id <> b.id join films.titles c on b.id <> c.id",
        "select count(*) from films.titles a left join films.titles b on a.id < b.id left join films.titles c on b.id < c.id",
        "select count(*) from films.titles a full join films.titles b on a.id * b.id < 0, films.titles c",
        "select a.id from films.titles a, films.titles b, films.titles c order by a.id * b.id * c.id",
        "select a.id, b.id, c.id from films.titles a, films.titles b, films.titles c group by 1, 2, 3",
        "select count(distinct concat(a.\"Title\", b.\"Title\", c.\"Title\")) from films.titles a, films.titles b, films.titles c",
        "select array_agg(a.\"Title\") from films.titles a, films.titles b, films.titles c",
        "select string_agg(a.\"Title\", ',') from films.titles a, films.titles b, films.titles c",
        "select unnest(x), unnest(x) from (select array_agg(a.id) x from films.titles a, films.titles b) t",
        "with x as (select array_agg(id) l from films.titles) select count(*) from (select unnest(l) a, l from x) p, (select unnest(l) b from x) q",
        "with s as (select string_agg(a.\"Title\", '') t from films.titles a, films.titles b) select s.t, a.id, b.id from s, films.titles a, films.titles b",
        "with a as (select unnest(genres) g from films.titles), b as (select a.g from a, a x), c as (select b.g from b, b x) select count(*) from c",
        "select sum(a.id) over (partition by b.id order by c.id) from films.titles a, films.titles b, films.titles c",
        "select row_number() over (order by a.id, b.id, c.id) from films.titles a, films.titles b, films.titles c",
        "select max(a.id) over (rows between unbounded preceding and unbounded following) from films.titles a, films.titles b, films.titles c",
        "select first_value(a.\"Title\") over (order by b.\"Title\" rows between 1000 preceding and 1000 following) from films.titles a, films.titles b, films.titles c",
        "select count(*) from films.titles a where exists (select 1 from films.titles b, films.titles c where b.id + c.id = -a.id - 1)",
        "select (select count(*) from films.titles b, films.titles c where b.id <> a.id) from films.titles a",
        "select count(*) from films.titles where id in (select a.id * b.id * c.id from films.titles a, films.titles b, films.titles c)",
        "select levenshtein(a.\"Title\", b.\"Title\") from films.titles a, films.titles b, films.titles c",
        "select median(a.id * b.id + c.id) from films.titles a, films.titles b, films.titles c",
        "select approx_distinct(a.id * b.id + c.id) from films.titles a, films.titles b, films.titles c",
        "select distinct a.\"Title\" || b.\"Title\" || c.\"Title\" from films.titles a, films.titles b, films.titles c",
        "select a.\"Title\" || b.\"Title\" from films.titles a, films.titles b, films.titles c order by 1 desc limit 10",
        "select id from films.titles union select a.id * b.id * c.id from films.titles a, films.titles b, films.titles c",
        "select id from films.titles intersect all select a.id + b.id + c.id from films.titles a, films.titles b, films.titles c",
        "select id from films.titles except select a.id + b.id + c.id from films.titles a, films.titles b, films.titles c",
        "select count(*) from films.titles natural join films.titles b, films.titles c, films.titles d",
        "select grouping(a.id), count(*) from films.titles a, films.titles b, films.titles c group by cube(a.id, b.id, c.id, a.year, b.year)",
        "select count(*) from long.texts a, long.texts b, long.texts c where a.text || b.text = c.text",
        "select regexp_replace(a.text, '(.)', '$1$1$1$1$1$1$1$1') from long.texts a, films.titles b",
        "select replace(a.text, 'a', a.text) from long.texts a",
        "select make_array(a.text, a.text, a.text, b.text) from long.texts a, long.texts b, films.titles c",
        "select count(*) from long.texts a, long.texts b where levenshtein(a.text, b.text) < 5",
        "select upper(a.text) from long.texts a, films.titles b, films.titles c",
        "select * from long.texts a, films.titles b, films.titles c",
        "select min(a.text || b.text || a.text || b.text) from long.texts a, long.texts b, films.titles c, films.titles d",
        "select id from films.titles limit 9223372036854775807",
        "select id from films.titles offset 9223372036854775807",
        "select 9223372036854775807 + 1",
        "select exp(710.0), ln(0.0), sqrt(-1.0), 0.0/0.0, power(10.0, 400.0)",
        "select * from films.titles where \"Title\" like '%a%b%c%d%e%f%g%h%i%j%k%l%m%n%o%p%'",
        "select 'a' /* ; drop table x */ -- '",
        "select 'Robert''); drop table films.titles; --'",
        "select '\u{202e}\u{200b}\u{feff}' as \"\u{1f4a3}\"",
        "select null, null union all select 1, 'a'",
        "select unnest(make_array())",
        "select unnest(null)",
        "values (1), (2)",
        "select 1 where false",
    ]
    .map(str::to_owned)
    .into();
    all.extend(extreme().map(|expression| format!("select {expression}")));
    all.extend(extreme().map(|expression| format!("select {expression}, id from films.titles where id < 3")));
    all.extend(wide());
    // Doubling a text, or a list, again and again.
    for steps in [5, 12, 20] {
        let doubled = |step: &str| {
            let mut with = "with s0 as (select text t from long.texts)".to_owned();
            for at in 1..=steps {
                with.push_str(&format!(", s{at} as (select {} t from s{})", step, at - 1));
            }
            format!("{with} select t from s{steps}")
        };
        all.push(doubled("concat(t, t)"));
        all.push(doubled("t || t"));
        all.push(doubled("replace(t, 'a', 'aaaaaaaaaa')"));
        all.push(doubled("regexp_replace(t, 'a', 'aaaaaaaaaa', 'g')"));
        all.push(doubled("make_array(t, t)"));
        all.push(doubled("string_to_array(t, '')"));
        all.push(doubled("string_agg(concat(t, t), t)"));
    }
    all.push(format!("select {} from {TITLES}", "9".repeat(10_000)));
    for items in [1_000, 10_000] {
        let list: Vec<String> = (0..items).map(|n| n.to_string()).collect();
        all.push(format!("select count(*) from {TITLES} where id in ({})", list.join(",")));
        all.push(format!(
            "select * from (values {}) t(x)",
            list.iter().map(|n| format!("({n})")).collect::<Vec<_>>().join(",")
        ));
        all.push(format!("select make_array({})", list.join(",")));
        all.push(format!("select greatest({})", list.join(",")));
        all.push(format!(
            "select case id {} end from {TITLES}",
            list.iter().take(900).map(|n| format!("when {n} then {n}")).collect::<Vec<_>>().join(" ")
        ));
    }
    let joins: String = (1..20).map(|n| format!(" join {TITLES} t{n} on t{n}.id = t0.id")).collect();
    all.push(format!("select count(*) from {TITLES} t0{joins}"));
    let joins: String = (1..20).map(|n| format!(" join {TITLES} t{n} on t{n}.year = t0.year")).collect();
    all.push(format!("select count(*) from {TITLES} t0{joins}"));
    all
}

/// Values at the ends of what there is.
fn extreme() -> impl Iterator<Item = &'static str> {
    const ENDS: [&str; 84] = [
        "date '2020-01-01' + interval '2147483647 years'",
        "date '2020-01-01' - interval '2147483647 months'",
        "date '9999-12-31' + interval '300000 years'",
        "date '2020-01-01' + interval '9223372036854775807 days'",
        "timestamp '2020-01-01' + interval '2147483647 days'",
        "timestamp '9999-12-31' - timestamp '0001-01-01'",
        "interval '2147483647 months' + interval '2147483647 months'",
        "interval '2147483647 days' * 1000",
        "- interval '2147483648 days'",
        "date '5874897-12-31'",
        "cast('262143-12-31' as date)",
        "cast(2147483647 as date)",
        "cast(9223372036854775807 as timestamp)",
        "to_timestamp(9223372036854775807)",
        "to_timestamp(-9.3e18)",
        "to_timestamp_seconds(9223372036854775807)",
        "to_timestamp_millis(-9223372036854775808)",
        "from_unixtime(9223372036854775807)",
        "from_unixtime(-9223372036854775808)",
        "to_unixtime('a')",
        "to_date('99999999-01-01')",
        "to_char(date '2020-01-01', '%!')",
        "to_char(date '2020-01-01', '%')",
        "to_char(timestamp '2020-01-01', '%99999999d')",
        "to_char(date '2020-01-01', '%Q %Z %z %+ %s %f')",
        "make_date(2147483647, 1, 1)",
        "make_date(2020, 99, -1)",
        "date_trunc('year', cast('262143-12-31' as date))",
        "date_trunc('microsecond', timestamp '9999-12-31')",
        "date_bin(interval '2147483647 months', timestamp '2020-01-01')",
        "date_bin(interval '-1 second', timestamp '2020-01-01')",
        "date_bin(interval '1 nanosecond', timestamp '9999-12-31', timestamp '0001-01-01')",
        "date_part('epoch', timestamp '9999-12-31')",
        "extract(century from date '2020-01-01')",
        "-9223372036854775808",
        "-9223372036854775808 / -1",
        "-9223372036854775808 % -1",
        "abs(-9223372036854775808)",
        "- (-9223372036854775808)",
        "9223372036854775807 * 9223372036854775807",
        "18446744073709551615 + 1",
        "99999999999999999999999999999999999999 * 99999999999999999999999999999999999999",
        "cast(99999999999999999999999999999999999999 as decimal(38, 0)) + 1",
        "cast('9' as decimal(76, 75)) * cast('9' as decimal(76, 75))",
        "cast('1e-70' as decimal(76, 76)) / 3",
        "cast(1 as decimal(38, 38))",
        "cast(1 as decimal(99, 1))",
        "cast(1 as decimal(10, -5))",
        "1e400",
        "1 << 64",
        "1 << -1",
        "1 >> 9223372036854775807",
        "round(1.5, 2147483647)",
        "round(1.5, -2147483648)",
        "round(cast(1.5 as decimal(38, 10)), 300)",
        "trunc(1.5, -400)",
        "factorial(20)",
        "factorial(21)",
        "factorial(-1)",
        "gcd(-9223372036854775808, -9223372036854775808)",
        "lcm(9223372036854775807, 9223372036854775806)",
        "power(2, 9223372036854775807)",
        "log(0, 0)",
        "left('abc', -9223372036854775808)",
        "right('abc', -9223372036854775808)",
        "left('abc', 9223372036854775807)",
        "substr('abc', 9223372036854775807, 9223372036854775807)",
        "substr('abc', -9223372036854775808)",
        "substring_index('a.b', '.', -9223372036854775808)",
        "substring_index('a.b', '', 9223372036854775807)",
        "split_part('a,b', ',', -9223372036854775808)",
        "split_part('a,b', ',', 9223372036854775807)",
        "regexp_instr('aaa', 'a', 9223372036854775807)",
        "regexp_count('aaa', 'a', -1)",
        "regexp_replace('aaa', '(a*)*(a*)*b', '$9999999999')",
        "make_array(1, 2)[-9223372036854775808]",
        "array_slice(make_array(1, 2), -9223372036854775808, 9223372036854775807)",
        "array_slice(make_array(1, 2), 1, 2, 0)",
        "array_slice(make_array(1, 2), 9223372036854775807, 1, -9223372036854775808)",
        "array_position(make_array(1, 2), 2, 9223372036854775807)",
        "array_to_string(make_array(null, 1), null, null)",
        "string_to_array('', '')",
        "flatten(make_array(make_array(make_array(1)), null))",
        "array_max(make_array())",
    ];
    ENDS.into_iter()
}

/// Much of everything at once.
fn wide() -> Vec<String> {
    let many =
        |times: usize, each: &dyn Fn(usize) -> String, with: &str| (0..times).map(each).collect::<Vec<_>>().join(with);
    let mut all: Vec<String> = [
        "select unnest(unnest(make_array(make_array(1, 2)))) from films.titles",
        "select g, h, i, j from films.titles t, unnest(t.genres) g, unnest(t.genres) h, unnest(t.genres) i, unnest(t.genres) j",
        "select count(*) from films.titles t, unnest(t.genres) g, films.titles u, unnest(u.genres) h, films.titles v",
        "select count(*) from unnest(make_array(1, 2, 3)) a, unnest(make_array(1, 2, 3)) b, films.titles c, films.titles d, films.titles e",
        "select unnest(x) from (select array_agg(genres) x from films.titles a cross join films.titles b)",
        "select array_sort(x), array_distinct(x), array_reverse(x) from (select array_agg(a.\"Title\") x from films.titles a, films.titles b) t, films.titles c",
        "select array_to_string(array_agg(text), text) from long.texts group by text",
        "select array_to_string(string_to_array(text, 'a'), text) from long.texts",
        "select string_to_array(text, null) from long.texts, films.titles",
        "select string_agg(t, '') from (select array_to_string(array_agg(text), ',') t from long.texts, films.titles)",
        "select count(*) from long.texts a join long.texts b on a.text like '%' || b.text || '%'",
        "select count(*) from long.texts where text ~ '(a|aa|aaa)*(a|aa|aaa)*b'",
        "select count(*) from long.texts, films.titles where regexp_like(text, '(.*)(.*)(.*)(.*)(.*)[^a]$')",
        "select regexp_count(text, 'a??') from long.texts, films.titles",
        "select regexp_match(text, '(a+)(a+)(a+)(a+)(a+)(a+)(a+)(a+)(a+)') from long.texts, films.titles",
        "select translate(text, 'a', 'b'), initcap(text), reverse(text) from long.texts, films.titles",
        "select levenshtein(text, reverse(text)) from long.texts",
        "select lag(id, -9223372036854775808) over (order by id), lead(id, 9223372036854775807) over (order by id) from films.titles",
        "select ntile(9223372036854775807) over (order by id), nth_value(id, 0) over (order by id) from films.titles",
        "select ntile(0) over (order by id) from films.titles",
        "select sum(id) over (order by id range between 9223372036854775807 preceding and 9223372036854775807 following) from films.titles",
        "select sum(id) over (order by released range between interval '1 year' preceding and current row) from films.titles",
        "select approx_percentile_cont(id, 2.0) from films.titles",
        "select approx_percentile_cont(id, 0.5, 9223372036854775807) from films.titles",
        "select percentile_cont(id, cast('NaN' as double)) from films.titles",
        "select array_agg(id order by \"Title\" desc, id * -1) filter (where id > 3) from films.titles group by grouping sets ((), (id), (year, id))",
        "select count(*) from films.titles limit 0",
        "select * from films.titles order by id offset 99 limit 0",
        "select * from films.titles where id in (select id from films.titles where id in (select id from films.titles where id in (select id from films.titles)))",
        "select (select (select (select max(a.id) from films.titles a) from films.titles b limit 1) from films.titles c limit 1)",
    ]
    .map(str::to_owned)
    .into();
    let doubled = |steps: usize, with: &str| {
        let step = |at: usize| format!("c{} as (select a.x from c{at} a {with} c{at} b)", at + 1);
        let step = |at: usize| match with {
            "union all" => format!("c{} as (select x from c{at} union all select x from c{at})", at + 1),
            _ => step(at),
        };
        format!(
            "with c0 as (select id as x from films.titles), {} select count(*) from c{steps}",
            many(steps, &step, ", ")
        )
    };
    // Rows that are one text many times over: small as they lie, large for whoever reads them.
    let many_times = "(select a.text from long.texts a join films.titles b on a.id % 4 = b.id % 4)";
    for expression in [
        "string_to_array(text, '')",
        "array_to_string(string_to_array(text, 'a'), '12345678')",
        "regexp_match(text, '((((((((((a*))))))))))')",
        "string_agg(text, text)",
        "concat(text, text, text, text)",
        "replace(text, 'a', 'bbbb')",
        "max(upper(text))",
        "unnest(string_to_array(text, 'a')), text",
    ] {
        all.push(format!("select {expression} from {many_times}"));
    }
    for steps in [5, 10, 40] {
        all.push(doubled(steps, "union all"));
        all.push(doubled(steps, "cross join"));
    }
    all.push(format!(
        "with c0 as (select 1 x), {} select * from c40",
        many(40, &|at| format!("c{} as (select x from c{at})", at + 1), ", ")
    ));
    for columns in [5, 8, 12, 24] {
        let keys = many(columns, &|at| format!("id % {}", at + 2), ", ");
        all.push(format!("select count(*) from films.titles group by cube({keys})"));
        all.push(format!("select count(*) from films.titles group by rollup({keys})"));
    }
    all.push(format!("select {} from films.titles", many(400, &|at| format!("sum(id + {at})"), ", ")));
    all.push(format!(
        "select {} from films.titles",
        many(200, &|at| format!("sum(id + {at}) over (order by id % {})", at + 1), ", ")
    ));
    all.push(format!("select {} from films.titles", many(200, &|at| format!("count(distinct id + {at})"), ", ")));
    all.push(format!(
        "select count(*) from long.texts where {}",
        many(100, &|at| format!("text like '%{}%b'", "a%".repeat(at + 1)), " or ")
    ));
    all.push(format!("select count(*) from long.texts where text like '{}z'", "%a".repeat(1_500)));
    all.push(format!(
        "select count(*) from films.titles where \"Title\" in ({})",
        many(4_000, &|at| format!("'{at}'"), ",")
    ));
    all.push(format!(
        "select count(*) from films.titles where id not in ({}, null)",
        many(9_000, &|at| at.to_string(), ",")
    ));
    all.push(format!(
        "select count(*) from films.titles where {}",
        many(300, &|at| format!("id in ({at}, id, null)"), " or ")
    ));
    all.push(format!(
        "select count(*) from films.titles where {}",
        many(300, &|at| format!("id not in ({at}, 7, 8, 9)"), " and ")
    ));
    all.push(format!("select coalesce({}) from films.titles", many(5_000, &|_| "id".to_owned(), ",")));
    all.push(format!("select concat({}) from films.titles", many(900, &|_| "\"Title\"".to_owned(), ",")));
    all.push(format!(
        "select {} from films.titles",
        many(40, &|at| format!("cast(id as decimal({}, 0))", at % 38 + 1), " * ")
    ));
    all.push(format!("select {}cast(1 as double){} from films.titles", "round(".repeat(40), ")".repeat(40)));
    all.push(format!("select {}id{} from films.titles", "abs(1 + ".repeat(40), ")".repeat(40)));
    all
}

fn long() -> TestTable {
    let text = |n: usize| json!({"id": n, "text": "a".repeat(60_000) + &n.to_string()});
    TestTable::new("texts", &[("id", "int64"), ("text", "utf8")]).file(&(0..200).map(text).collect::<Vec<Value>>())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_queries_are_refused_or_capped_and_others_are_served_meanwhile() {
    let shelf = Arc::new(
        TestShelf::builder()
            .publish("films", films())
            .publish("long", long())
            .settings(|settings| {
                settings.sql.anonymous.time = TIME;
                settings.sql.anonymous.memory = 64 << 20;
                settings.sql.waiting = 1_000;
            })
            .serve()
            .await,
    );
    let done = Arc::new(AtomicBool::new(false));
    let other = tokio::spawn({
        let (shelf, done) = (Arc::clone(&shelf), Arc::clone(&done));
        async move {
            let mut times = Vec::new();
            while !done.load(Ordering::Relaxed) {
                let begun = Instant::now();
                let offset = times.len() % 250;
                let path = format!("/v1/datasets/films/tables/titles/rows?limit=5&offset={offset}");
                assert_eq!(shelf.get(&path).await.status(), 200);
                times.push(begun.elapsed());
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            times.sort_unstable();
            times
        }
    });
    let refused: Vec<(String, bool)> = refused().into_iter().map(|query| (query, true)).collect();
    let all: Vec<(String, bool)> = refused.into_iter().chain(heavy().into_iter().map(|query| (query, false))).collect();
    assert!(all.len() >= 300, "{}", all.len());
    let faults: Vec<String> = stream::iter(all)
        .map(|(query, must_refuse)| {
            let shelf = Arc::clone(&shelf);
            async move { fault(&shelf, &query, must_refuse).await }
        })
        .buffer_unordered(2)
        .filter_map(|fault| async { fault })
        .collect()
        .await;
    done.store(true, Ordering::Relaxed);
    let times = other.await.expect("rows are served");
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
    assert!(times.len() > 20 && median < Duration::from_millis(250), "rows took {median:?}, at worst {worst:?}");
    // It is as well as before.
    let begun = Instant::now();
    let answer = loop {
        let answer = shelf.get("/v1/sql?query=select+1+as+n").await;
        // A function that was at work when its query was stopped ends its batch first.
        if answer.status() == 200 || begun.elapsed() > BOUND {
            break answer;
        }
    };
    let answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!(answer["rows"], json!([{"n": 1}]));
}

/// What is wrong with the answer to a query.
async fn fault(shelf: &TestShelf, query: &str, must_refuse: bool) -> Option<String> {
    let short: String = query.chars().take(150).collect();
    let begun = Instant::now();
    let request = shelf.client.post(shelf.url("/v1/sql")).header("content-type", "application/json");
    let response = match tokio::time::timeout(BOUND, request.body(json!({"query": query}).to_string()).send()).await {
        Err(_) => return Some(format!("no answer after {BOUND:?}: {short}")),
        Ok(Err(error)) => return Some(format!("{error}: {short}")),
        Ok(Ok(response)) => response,
    };
    let status = response.status().as_u16();
    let text = tokio::time::timeout(BOUND, response.text()).await;
    let took = begun.elapsed();
    let body = match text {
        Err(_) => return Some(format!("no end after {BOUND:?}: {short}")),
        // Aborted after its first byte, by a cap.
        Ok(Err(_)) => String::new(),
        Ok(Ok(body)) => body,
    };
    if took > BOUND / 2 {
        return Some(format!("{took:?}: {short}"));
    }
    match status {
        400 | 413 | 422 | 451 => None,
        200 if !must_refuse => None,
        status => Some(format!("{status}: {short}: {}", body.chars().take(200).collect::<String>())),
    }
}
