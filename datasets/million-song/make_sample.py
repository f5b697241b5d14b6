#!/usr/bin/env python3
"""Writes sample/: three invented tracks in the form of the Million Song Dataset's flat files (54 fields, CC0).

The numbers follow simple rules, so that golden rows can be checked by eye: bar i starts at 2 i seconds, segment i of the
first track at i / 4, pitch p of segment i is p / 12, coefficient c of segment i is i - c.
"""

import pathlib

OUT = pathlib.Path(__file__).parent / "sample"
FIELDS = (
    "track_id analysis_sample_rate artist_7digitalid artist_familiarity artist_hotttnesss artist_id artist_latitude artist_location "
    "artist_longitude artist_mbid artist_mbtags artist_mbtags_count artist_name artist_playmeid artist_terms artist_terms_freq "
    "artist_terms_weight audio_md5 bars_confidence bars_start beats_confidence beats_start danceability duration end_of_fade_in energy "
    "key key_confidence loudness mode mode_confidence release release_7digitalid sections_confidence sections_start "
    "segments_confidence segments_loudness_max segments_loudness_max_time segments_loudness_start segments_pitches segments_start "
    "segments_timbre similar_artists song_hotttnesss song_id start_of_fade_out tatums_confidence tatums_start tempo time_signature "
    "time_signature_confidence title track_7digitalid year"
).split()


def track(track_id, artist, title, segments, step, **changes):
    bars, sections = max(1, segments // 4), 1 + segments // 8
    row = {
        "track_id": track_id, "analysis_sample_rate": 22050, "artist_7digitalid": 1234, "artist_familiarity": 0.5817937658450281,
        "artist_hotttnesss": 0.4019975433642836, "artist_id": "AR" + track_id[2:], "artist_latitude": 35.14968, "artist_location": "Memphis, TN",
        "artist_longitude": -90.04892, "artist_mbid": "e77e51a5-4761-45b3-9847-2051f811e366", "artist_mbtags": ["jazz", "piano"],
        "artist_mbtags_count": [2, 1], "artist_name": artist, "artist_playmeid": 4479, "artist_terms": ["tide pop", "ambient", "sea shanty"],
        "artist_terms_freq": [1.0, 0.75, 0.5], "artist_terms_weight": [1.0, 0.8, 0.125], "audio_md5": "a222795e07cd65b7a530f1346f520649",
        "bars_confidence": [0.25] * bars, "bars_start": [2.0 * i for i in range(bars)],
        "beats_confidence": [0.5] * (2 * bars), "beats_start": [1.0 * i for i in range(2 * bars)],
        "danceability": 0.0, "duration": segments * step, "end_of_fade_in": 0.247, "energy": 0.0, "key": 1, "key_confidence": 0.736,
        "loudness": -11.197, "mode": 0, "mode_confidence": 0.636, "release": "Low Water", "release_7digitalid": 300848,
        "sections_confidence": [1.0] * sections, "sections_start": [2.0 * i for i in range(sections)],
        "segments_confidence": [round(i / segments, 3) for i in range(segments)],
        "segments_loudness_max": [-60.0 + i for i in range(segments)], "segments_loudness_max_time": [0.125] * segments,
        "segments_loudness_start": [-60.0] * segments,
        "segments_pitches": [round(p / 12, 3) for _ in range(segments) for p in range(12)],
        "segments_start": [i * step for i in range(segments)],
        "segments_timbre": [float(i - c) for i in range(segments) for c in range(12)],
        "similar_artists": ["ARJNIUY12298900C91", "AR7K8BL1187B9AD7A4"], "song_hotttnesss": 0.6021199899057548,
        "song_id": "SO" + track_id[2:], "start_of_fade_out": 218.932, "tatums_confidence": [0.5] * bars,
        "tatums_start": [0.5 * i for i in range(bars)], "tempo": 92.198, "time_signature": 4, "time_signature_confidence": 0.778,
        "title": title, "track_7digitalid": 3401791, "year": 1999,
    }
    assert list(row) == FIELDS and set(changes) <= set(row)
    row.update(changes)
    return "\t".join(",".join(map(str, value)) if isinstance(value, list) else str(value) for value in row.values()) + "\n"


FILES = {
    "A.tsv.a": track("TRAAAAA128F0000001", "Casual Tide", "I Didn't \"Mean\" To", 8, 0.25)
    # A track of which little is known: nan, empty fields and the year 0.
    + track("TRAAAAB128F0000002", "静かな灯台", "Fjärd", 4, 0.5, artist_latitude="nan", artist_longitude="nan", artist_location="", artist_mbid="",
            artist_mbtags=[], artist_mbtags_count=[], artist_7digitalid=-1, artist_playmeid=-1, song_hotttnesss="nan", year=0),
    "B.tsv.c": track("TRBBBBC128F0000003", "The Tide Tables", "Ebb (Interlude), Pt. 2", 2, 1.5, similar_artists=[], bars_confidence=[], bars_start=[],
                     song_hotttnesss=0.0, year=2010),
}

if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    for name, text in FILES.items():
        (OUT / name).write_text(text, encoding="utf-8", newline="")
