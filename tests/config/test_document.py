from gatewayd.config.document import Document, Place, Source, Span, Text


def test_the_text_of_a_file_does_not_show_in_its_repr() -> None:
    assert "hunter2" not in repr(Source("gatewayd.toml", 'secret = "hunter2"'))


def test_the_suffix_tells_ini_from_toml() -> None:
    assert [Source(file, "").is_ini for file in ("a.ini", "a.CFG", "a.toml", "a")] == [
        True,
        True,
        False,
        False,
    ]


def test_a_key_without_a_place_stands_where_the_nearest_table_around_it_does() -> None:
    header = Span(Place("f", 3, 2), Place("f", 3, 2))
    document = Document(("f",), {}, {("routes", "email"): header})
    assert document.span(("routes", "email", "usage", "cost")) is header
    assert document.span(("server",)) == Span(Place("f"), Place("f"))


def test_text_is_a_string_that_knows_it_came_from_ini() -> None:
    assert Text("5") == "5"
    assert isinstance(Text("5"), str)
