import json
import re

from cancernet_cli.outputs.report.content import Chart, Facts, Page, Section, Table, Widget, Words
from cancernet_cli.outputs.report.page import embedded_bytes, render

EVIL = '</script><img src=x onerror="alert(1)">\'"&\u202egnp.exe\n{{ 7 * 7 }}'


def page(text: str) -> Page:
    blocks = [
        Facts({text: text}),
        Words([text], listed=True),
        Table([text, f">{text}"], [[text, text]], text, text, folded=True),
        Chart("c", "confusion", {"classes": [text], "counts": [[1]]}, text, text),
        Widget("gallery", {"names": ["path"], "rows": [[text]], "classes": [text], "positive": "", "reasons": {}}),
    ]
    section = Section("s", text, blocks, text)
    return Page(text, text, [section], [text], [text], {"0/image": b"\x89PNG"}, {text: (1, 2, 3)}, text)


def test_no_text_becomes_markup() -> None:
    html = render(page(EVIL)).decode()
    assert "<img src=x" not in html
    assert 'onerror="' not in html
    assert "\u202e" not in html
    assert "49" not in re.sub(r"<style>.*?</style>|<script.*?</script>", "", html, flags=re.DOTALL)
    assert html.count("</script>") == 3
    data = json.loads(re.search(r'id="report-data">(.*?)</script>', html, re.DOTALL)[1])  # type: ignore[index]
    assert data["widgets"]["gallery"]["rows"] == [[EVIL]]  # the script sets it as text


def test_a_page_loads_nothing() -> None:
    html = render(page("plain")).decode()
    assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:|//)", html)
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest|import\(", html)
    assert re.findall(r"https?://[^\s\"']+", html) == ["http://www.w3.org/2000/svg"] * html.count("http://")  # a name
    assert "default-src 'none'" in html


def test_the_same_page_has_the_same_bytes_and_pictures_add_what_is_reckoned() -> None:
    one = page("a")
    assert render(one) == render(page("a"))
    bare = Page("a", "b", one.sections)
    content = bytes(range(256)) * 9
    added = len(render(Page("a", "b", one.sections, pictures={"123/image": content}))) - len(render(bare))
    assert 0 <= embedded_bytes(content) - added < 64
