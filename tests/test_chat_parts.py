"""What a chat answer holds in addition to text: pictures, files, pages; lines too long."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from durable_llm_streams.providers.streams.chat_sse import ChatParser
from durable_llm_streams.providers.streams.long_lines import LongLine
from durable_llm_streams.providers.streams.other_parts import MAX_ADDRESS, MAX_URL
from durable_llm_streams.source import Alive, Citation, File, TextDelta
from tests.chat_streams import (
    DONE,
    delta,
    fail,
    finish,
    joined,
    line,
    outcome,
    pieces_of,
    said,
    text,
)

PICTURE = "data:image/png;base64,AAAA"
FILE = File(media_type="image/png", url=PICTURE)


def image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def test_text_comes_before_the_picture_of_its_chunk() -> None:
    cat = delta(content="A cat.", images=[image(PICTURE)])
    assert joined(cat, finish()) == [TextDelta("A cat."), FILE, "stop"]


@pytest.mark.parametrize(
    "part",
    [
        image(PICTURE),
        {"type": "image_url", "image_url": PICTURE},
        {"type": "output_image", "image_url": PICTURE},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
        {"inline_data": {"mime_type": "image/png", "data": "AAAA"}},
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
        {"type": "image", "b64_json": "AAAA"},
        {"type": "image", "format": "png", "data": "AAAA"},
        {"type": "file", "file": {"filename": "a.png", "file_data": PICTURE}},
        PICTURE,
    ],
)
def test_every_form_of_a_picture_is_read(part: Any) -> None:
    assert joined(delta(images=[part]), finish()) == [FILE, "stop"]
    if isinstance(part, dict):
        words = {"type": "text", "text": "a"}
        mixed = joined(text([words, part, words]), finish())
        assert mixed == [TextDelta("a"), FILE, TextDelta("a"), "stop"]


def test_a_picture_that_comes_again_counts_once() -> None:
    whole = line({"message": {"images": [image(PICTURE)]}})
    chunks = [delta(images=[image(PICTURE)]), text("a"), whole, finish()]
    assert joined(*chunks) == [FILE, TextDelta("a"), "stop"]


def test_a_picture_in_the_text_is_taken_out_of_it() -> None:
    url = PICTURE + "A" * 1000
    content = f"Here:\n\n![A cat]({url})\n\nAnother: ![]({url}B)."
    assert joined(text("a"), text(content), finish()) == [
        TextDelta("aHere:\n\n"),
        File(media_type="image/png", url=url),
        TextDelta("\n\nAnother: "),
        File(media_type="image/png", url=url + "B"),
        TextDelta("."),
        "stop",
    ]
    large = said(text(f"![A cat]({PICTURE}{'A' * 300_000})"), finish())
    assert large.startswith("\n\n[The model sent a picture (image/png, 220 KiB)")
    linked = "![A cat](https://example.org/cat.png) " * 20
    assert said(text(linked), finish()) == linked


def test_a_picture_that_is_too_large_is_named_in_a_sentence() -> None:
    large = PICTURE + "A" * MAX_URL
    fits = large[:MAX_URL]
    assert joined(delta(images=[image(fits)]), finish())[0] == File(
        media_type="image/png", url=fits
    )
    expected = "[The model sent a picture (image/png, 192 KiB). It is too large to be kept here.]"
    assert said(delta(content="a", images=[image(large)]), finish()).split("\n\n")[1] == expected
    sound = {"type": "input_audio", "input_audio": {"format": "mp3", "data": "A" * 2 * MAX_URL}}
    assert "[The model sent sound (audio/mp3, 384 KiB)." in said(text([sound]), finish())
    paper = large.replace("image/png", "application/pdf")
    assert "[The model sent a file (application/pdf, " in said(
        delta(images=[image(paper)]), finish()
    )


@pytest.mark.promise("bounded")
def test_all_files_of_an_answer_are_bounded_together() -> None:
    pictures = [image(f"{PICTURE}{at:04}{'A' * 250_000}") for at in range(20)]
    *files, sentence, reason = joined(*(delta(images=[each]) for each in pictures), finish())
    assert sum(isinstance(each, File) for each in files) == 16
    assert (sentence.text.count("too large"), reason) == (4, "stop")


@pytest.mark.promise("bounded")
@pytest.mark.parametrize("size", [65_536, 20_000_000])
@pytest.mark.parametrize(
    "form", ["images", "![A cat](data:image/png;base64,%s)", "data:image/png;base64,%s", "%s"]
)
def test_a_picture_of_megabytes_is_named_and_the_text_is_kept(form: str, size: int) -> None:
    picture = "A" * 9_000_000
    if form == "images":
        chunk = delta(content="a", images=[image(f"data:image/png;base64,{picture}")])
    else:
        chunk = text("a") + text(form % picture)
    data = chunk + text("b") + finish() + DONE
    expected = "[The model sent a picture (image/png, 6.4 MiB). It is too large to be kept here.]"
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    assert said(*pieces) == f"a\n\n{expected}\n\nb"


@pytest.mark.promise("bounded")
def test_memory_is_bounded_while_a_line_comes() -> None:
    parser, piece = ChatParser(), b"A" * 65_536
    parser.feed(b'data: {"choices":[{"delta":{"content":"cat","images":["data:image/png;base64,')
    for _ in range(300):
        assert parser.feed(piece) == [Alive("chunk")]
    kept = parser._long._line if parser._long is not None else parser._tail
    assert len(kept) < 10_000
    parser.feed(b'"]}}]}\n\n' + finish())
    assert parser.finish().reason == "stop"


@pytest.mark.promise("bounded")
def test_a_line_of_text_that_is_too_long_costs_no_more_than_itself() -> None:
    words = text("many words " * 100)
    assert said(text("a"), words, text("b"), finish(), max_line=500) == "ab"
    assert fail(words, finish(), max_line=500).meaning == "too-large"
    assert outcome(text("a"), words, max_line=500)[-1][0] == str(fail(words, max_line=500))


@given(
    st.lists(
        st.sampled_from(['"', "\\\\", '\\"', "A" * 150, "é", "{", ":", "\\u0041"]), max_size=30
    ),
    st.lists(st.integers(0, 10_000), max_size=8),
)
@settings(max_examples=300)
def test_a_long_line_is_cut_the_same_however_it_comes(parts: list[str], cuts: list[int]) -> None:
    data = "".join(parts).encode()
    results = []
    for pieces in ([data], pieces_of(data, cuts)):
        line_of = LongLine(400, 200)
        for piece in pieces:
            line_of.feed(piece)
        results.append(line_of.end())
    assert results[0] == results[1]


@given(st.integers(0, 600), st.text(max_size=80), st.sampled_from(["", "data:image/png;base64,"]))
def test_a_cut_line_stays_json_and_only_data_is_cut(size: int, words: str, head: str) -> None:
    data = head + "A" * size
    value = {"text": words, "image": data, "more": [1, words]}
    long = LongLine(100_000, 250)
    long.feed(json.dumps(value).encode())
    got = json.loads(long.end() or b"null")
    kept, mark, length = got["image"].partition("\0cut:")
    assert got | {"image": ""} == value | {"image": ""}
    assert data.startswith(kept)
    assert (mark != "") == (len(data) > 250)
    assert not mark or int(length) == len(data)


PAGE = "https://example.org/a"


@pytest.mark.parametrize(
    "chunk",
    [
        delta(annotations=[{"type": "url_citation", "url_citation": {"url": PAGE, "title": "A"}}]),
        delta(annotations=[{"type": "url_citation", "url": PAGE, "title": "A"}]),
        line({"delta": {}}, citations=[PAGE], search_results=[]),
        line({"delta": {}, "citations": [PAGE]}),
        line({"delta": {}}, search_results=[{"url": PAGE, "title": "A", "date": None}]),
    ],
)
def test_every_form_of_a_page_is_read_and_counts_once(chunk: bytes) -> None:
    *events, page, reason = joined(text("a"), chunk, chunk, finish())
    assert (events, reason) == ([TextDelta("a")], "stop")
    assert page in (Citation(url=PAGE, title="A"), Citation(url=PAGE))


@pytest.mark.promise("foreign-bytes")
@pytest.mark.parametrize(
    "url",
    [
        *("javascript:alert(1)", "ftp://a", "", 7, None, "https://a\n/", "https://", "https://[a"),
        "https://" + "b" * MAX_ADDRESS,
    ],
)
def test_an_invalid_address_of_a_page_is_ignored(url: Any) -> None:
    pages = [url, {"url": url}, {"url_citation": {"url": url}}, {"url_citation": url}]
    chunk = line({"delta": {"content": "a", "annotations": pages}}, citations=pages)
    assert joined(chunk, finish()) == [TextDelta("a"), "stop"]


@pytest.mark.promise("foreign-bytes")
@pytest.mark.parametrize("url", ["https://", "https://[a", "https://[a/b.png"])
def test_a_picture_with_an_invalid_address_is_ignored(url: str) -> None:
    picture = {"type": "image_url", "image_url": {"url": url}}
    chunk = line({"delta": {"content": "a", "images": [picture]}})
    assert joined(chunk, finish()) == [TextDelta("a"), "stop"]


def test_the_words_of_a_spoken_answer_are_text() -> None:
    spoken = said(delta(audio={"transcript": "Hello"}), delta(audio={"data": "AA"}), DONE)
    assert spoken.startswith("Hello")
    sounds = said(delta(audio={}), *[delta(audio={"data": "AA"})] * 3, finish())
    assert sounds.count("[The model sent sound.") == 1, sounds
    assert joined(text("a"), delta(audio={"data": ""}), finish()) == [TextDelta("a"), "stop"]


def test_of_several_choices_one_is_read() -> None:
    chunks = [{"index": at % 2, "delta": {"content": f"{at}"}} for at in range(4)]
    ends = [line({"index": at, "delta": {}, "finish_reason": "stop"}) for at in (1, 0)]
    assert said(*map(line, chunks), *ends) == "02"
    assert fail(*map(line, chunks), ends[0]).meaning == "cut"
