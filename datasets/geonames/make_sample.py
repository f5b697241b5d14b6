#!/usr/bin/env python3
"""Writes sample/: a few lines in the form of GeoNames' export.

Names, coordinates, codes and ids of places are GeoNames' (https://www.geonames.org/, CC BY 4.0), cut down to a few
alternate names; populations are rounded, modification dates and the ids of administrative divisions are invented.
"""

import io
import pathlib
import zipfile

OUT = pathlib.Path(__file__).parent / "sample"

# Fields are separated by |, which becomes a tab.
CITIES = """\
1850147|Tokyo|Tokyo|Edo,TYO,Tokio,Tokyo,Tōkyō,東京|35.6895|139.69171|P|PPLC|JP||40||||9733000||44|Asia/Tokyo|2026-06-01
2657896|Zürich|Zuerich|Turicum,ZRH,Zurich,Zurigo,Zürich,Цюрих|47.36667|8.55|P|PPLA|CH||ZH|112|261||341700||429|Europe/Zurich|2026-05-02
2886242|Köln|Koeln|CGN,Coeln,Cologne,Colonia,Kolonja,Köln,Кёльн|50.93333|6.95|P|PPLA2|DE||07|053|05315|05315000|1000000||58|Europe/Berlin|2026-01-20
3041563|Andorra la Vella|Andorra la Vella|ALV,Andò-la-Vyèy,Andorra,安道爾城|42.50779|1.52109|P|PPLC|AD||07||||20400||1037|Europe/Andorra|2025-12-31
3352136|Windhoek|Windhoek|WDH,Windhuk,Windhoek,ǀAiǁGams|-22.55941|17.08323|P|PPLC|NA||21||||268000|1655|1721|Africa/Windhoek|2024-02-29
3413829|Reykjavík|Reykjavik||64.13548|-21.89541|P|PPLC|IS||39|0000|||118900||37|Atlantic/Reykjavik|2026-07-07
3448439|São Paulo|Sao Paulo|Pauliceia,SAO,San Paolo,São Paulo|-23.5475|-46.63611|P|PPLA|BR||27|3550308|||10021000||769|America/Sao_Paulo|2026-03-03
5856195|Honolulu|Honolulu|HNL,Gonolulu,Honolulu|21.30694|-157.85833|P|PPLA|US||HI|003|||371700|6|18|Pacific/Honolulu|2026-03-04
9900001|"Quoted" Village|"Quoted" Village|The \\"Village\\"|0|-0.5|P|PPL|XK|RS,AL|00||||0||-9999|Europe/Belgrade|2026-08-08
"""
COUNTRIES = """\
# ================================
#
# A sample in the form of countryInfo.txt
#
# ================================
#
#ISO|ISO3|ISO-Numeric|fips|Country|Capital|Area(in sq km)|Population|Continent|tld|CurrencyCode|CurrencyName|Phone|Postal Code Format|Postal Code Regex|Languages|geonameid|neighbours|EquivalentFipsCode
AD|AND|020|AN|Andorra|Andorra la Vella|468|77000|EU|.ad|EUR|Euro|376|AD###|^(?:AD)*(\\d{3})$|ca|3041565|ES,FR|
AQ|ATA|010|AY|Antarctica||14000000|0|AN|.aq|||||||6697173||
AX|ALA|248||Aland Islands|Mariehamn|1580|26700|EU|.ax|EUR|Euro|+358-18|#####|^(?:FI)*(\\d{5})$|sv-AX|661882||FI
NA|NAM|516|WA|Namibia|Windhoek|825418|2448255|AF|.na|NAD|Dollar|264|||en-NA,af,de,hz,naq|3355338|ZA,BW,ZM,AO|
US|USA|840|US|United States|Washington|9629091|327167434|NA|.us|USD|Dollar|1|#####-####|^\\d{5}(-\\d{4})?$|en-US,es-US,haw,fr|6252001|CA,MX,CU|
VA|VAT|336|VT|Vatican|Vatican City|0.44|921|EU|.va|EUR|Euro|379|#####|^(\\d{5})$|la,it,fr|3164670|IT|
"""
ADMIN1 = """\
AD.07|Andorra la Vella|Andorra la Vella|9910001
CH.ZH|Zurich|Zurich|9910002
DE.07|Nordrhein-Westfalen|Nordrhein-Westfalen|9910003
IS.39|Capital Region|Capital Region|9910004
NA.21|Khomas Region|Khomas Region|9910005
US.HI|Hawaii|Hawaii|9910006
"""
ADMIN2 = """\
CH.ZH.112|Zürich District|Zurich District|9920001
DE.07.053|Regierungsbezirk Köln|Regierungsbezirk Koln|9920002
IS.40.6601|Svalbarðsstrandarhreppur|Svalbardsstrandarhreppur|9920003
US.HI.003|Honolulu County|Honolulu County|9920004
"""
FEATURES = """\
A.ADM1|first-order administrative division|a primary division of a country, such as a state
P.PPL|populated place|a city, town or village where people live and work
P.PPLC|capital of a political entity|
null|not available|
"""


def main():
    OUT.mkdir(exist_ok=True)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        zipped.writestr(zipfile.ZipInfo("cities500.txt", (2026, 11, 1, 2, 3, 4)), CITIES.replace("|", "\t").encode(), zipfile.ZIP_DEFLATED)
    (OUT / "cities500.zip").write_bytes(buffer.getvalue())
    for name, text in (("countryInfo.txt", COUNTRIES), ("admin1CodesASCII.txt", ADMIN1), ("admin2Codes.txt", ADMIN2), ("featureCodes_en.txt", FEATURES)):
        (OUT / name).write_bytes(text.replace("|", "\t").encode())


if __name__ == "__main__":
    main()
