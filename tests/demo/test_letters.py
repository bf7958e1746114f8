"""Raw messages are read as their readers would see them; whatever is sent, no error of the parser gets out."""

from email.message import EmailMessage

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayd.demo.fields import Fault
from gatewayd.demo.letters import MAX_HEADER_BYTES, Attachment, parse_letter


def letter_with(header: str, body: str = "text") -> bytes:
    return f"Subject: s\r\n{header}\r\n\r\n{body}".encode()


def test_a_plain_message_is_read() -> None:
    letter = parse_letter(
        b'From: "Ada, the first" <ada@example.org>\r\nTo: a@example.com, B <b@example.com>\r\n'
        b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n =?utf-8?q?_aus_K=C3=B6ln?=\r\nMessage-ID: <1@example.org>\r\n"
        b"References: <a@x>\r\n <b@x>\r\nIn-Reply-To: <b@x>\r\n\r\none\r\ntwo\r\n"
    )
    assert (letter.sender, letter.sender_name) == ("ada@example.org", "Ada, the first")
    assert letter.to == ("a@example.com", "b@example.com")
    assert letter.subject == "Grüße aus Köln"
    assert (letter.message_id, letter.references) == ("<1@example.org>", ("<a@x>", "<b@x>"))
    assert letter.body == "one\ntwo"
    assert letter.automatic is False


def test_a_multipart_message_has_its_text_and_its_attachments() -> None:
    message = EmailMessage()
    message["From"], message["Subject"] = "a@example.org", "s"
    message.set_content("the plain text, ä")
    message.add_alternative("<p>the <b>html</b></p>", subtype="html")
    message.add_attachment(b"%PDF-1.7", maintype="application", subtype="pdf", filename="ä invoice.pdf")
    message.add_attachment("a note", filename="note.txt")
    letter = parse_letter(message.as_bytes())
    assert letter.body == "the plain text, ä"
    assert letter.attachments == (
        Attachment("ä invoice.pdf", "application/pdf", 8),
        Attachment("note.txt", "text/plain", 7),
    )


def test_a_message_that_has_only_html_is_read_from_it() -> None:
    raw = letter_with("Content-Type: text/html", "<p>one</p><p>two")
    assert parse_letter(raw).body == "one\n\ntwo"


def test_a_second_text_is_an_attachment() -> None:
    raw = letter_with("Content-Type: multipart/mixed; boundary=b", "--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--")
    letter = parse_letter(raw)
    assert (letter.body, letter.attachments) == ("one", (Attachment("", "text/plain", 3),))


@pytest.mark.parametrize(
    ("charset", "text", "data"),
    [
        pytest.param("utf-8", "ä", b"\xc3\xa4", id="utf-8"),
        pytest.param("ISO-8859-1", "ä", b"\xe4", id="latin"),
        pytest.param("unknown", "ä", b"\xc3\xa4", id="unknown"),
        pytest.param("punycode", "ä", b"\xc3\xa4", id="a codec that is slow"),
        pytest.param("zlib", "\N{REPLACEMENT CHARACTER}", b"\xe4", id="a codec that is not of text"),
        pytest.param("iso-8859-12", "a", b"a", id="the one that was never made"),
    ],
)
def test_text_is_decoded_with_charsets_of_text_only(charset: str, text: str, data: bytes) -> None:
    head = f"Subject: s\r\nContent-Type: text/plain; charset={charset}\r\n\r\n"
    assert parse_letter(head.encode() + data).body == text


def test_raw_utf_8_in_a_header_is_read() -> None:
    assert parse_letter("Subject: Grüße\n\n".encode()).subject == "Grüße"


def test_a_reply_to_a_message_that_names_no_thread_goes_on_from_that_one() -> None:
    assert parse_letter(letter_with("In-Reply-To: <a@x> <b@x>")).references == ("<a@x>",)


def test_of_a_long_thread_the_first_and_the_latest_are_kept() -> None:
    ids = [f"<{number}@x>" for number in range(50)]
    assert parse_letter(letter_with("References: " + "\r\n ".join(ids))).references == ("<0@x>", *ids[-19:])


@pytest.mark.parametrize(("value", "automatic"), [("no", False), ("No", False), ("auto-replied", True)])
def test_automatic_mail_is_known(value: str, automatic: bool) -> None:
    assert parse_letter(letter_with(f"Auto-Submitted: {value}")).automatic is automatic


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        pytest.param(b"", "neither", id="nothing"),
        pytest.param(b"hello", "neither", id="no header"),
        pytest.param(b"To: a@b\n\nx", "neither", id="no From and no Subject"),
        pytest.param(b"Subject: " + b"x" * MAX_HEADER_BYTES, "longer", id="header too long"),
        pytest.param(b"Subject: s\n" + b"\n--" * 1_001, "too many parts", id="too many parts"),
        pytest.param(
            b"Subject: s\n"
            + b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(990)),
            "nested",
            id="nested too deeply",
        ),
    ],
)
def test_what_is_no_message_is_a_400(raw: bytes, reason: str) -> None:
    with pytest.raises(Fault, match=reason) as raised:
        parse_letter(raw)
    assert (raised.value.status, raised.value.code) == (400, "invalid_message")


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("From: " + "(" * 5_000, id="comments without end"),
        pytest.param("From: <", id="address cut off"),
        pytest.param("From: @", id="address of nothing"),
        pytest.param("From: =?utf-8?b?!?= <a>", id="encoded word that is none"),
        pytest.param("Content-Type: /;;=", id="content type"),
        pytest.param("Content-Type: text/plain; charset*0*=x'y", id="charset in parts"),
        pytest.param("Content-Disposition: ;filename*=", id="disposition"),
        pytest.param("Content-Type: multipart/mixed", id="multipart without boundary"),
        pytest.param("Content-Transfer-Encoding: x-uuencode", id="uuencode that is none"),
        pytest.param("Message-ID: <>", id="empty id"),
        pytest.param("Message-ID: [", id="open id"),
    ],
)
def test_a_header_that_cannot_be_read_counts_as_absent(header: str) -> None:
    letter = parse_letter(letter_with(header))
    assert (letter.sender, letter.message_id) == ("", "")


FRAGMENTS = st.sampled_from(
    ["From:", "Subject:", "Message-ID:", "Content-Type:", "Content-Disposition:", "multipart/mixed", "text/html",
     "; boundary=b", "; charset=", "; filename*=", "\r\n", "\n", "\r", " ", "--b", "=?utf-8?q?", "?=", "<", ">", "@",
     "(", '"', "\\", "[", ":", ";", ",", "'", "\x00", "\xff", "a"]
)  # fmt: skip


@settings(deadline=None)
@given(st.lists(FRAGMENTS, max_size=40))
def test_any_bytes_are_a_letter_or_a_fault(fragments: list[str]) -> None:
    raw = "".join(["Subject: s\n", *fragments]).encode("latin-1")
    letter = parse_letter(raw)
    f"{letter.sender}{letter.sender_name}{letter.subject}{letter.body}{letter.attachments}".encode()
    assert "\n" not in letter.subject
