import msgspec
from made_records import CONVERTED

from planner.conversion.provenance import ConvertedFrom


def test_what_a_model_was_converted_from_goes_through_json():
    text = msgspec.json.encode(CONVERTED)
    assert msgspec.json.decode(text, type=ConvertedFrom) == CONVERTED


def test_records_of_before_there_were_doubts_are_still_read():
    known = msgspec.to_builtins(CONVERTED)
    del known["doubt"]
    assert msgspec.convert(known, ConvertedFrom).doubt == ""
