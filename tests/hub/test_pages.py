"""The static pages: right types, right caching, and no way out of the folder."""

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from cellwarden.hub.headers import PAGE_POLICY
from hub.fleet import Site, site

SCRIPT = "console.log('hello');" * 50


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("pages")
    static = folder / "static"
    (static / "assets").mkdir(parents=True)
    (static / "index.html").write_text("<!doctype html><title>Fleet</title>")
    (static / "assets" / "index-abc.js").write_text(SCRIPT)
    (static / "assets" / "style-abc.css").write_text("body{}")
    (static / "assets" / "mark.svg").write_text("<svg/>")
    (folder / "secret.txt").write_text("secret")
    with site(folder, static=static) as running:
        yield running


@pytest.mark.parametrize("path", ["/", "/index.html", "/battery/pack-1", "/trust", "/a/b/c"])
def test_the_index_answers_every_address_that_pages_make_up(own: Site, path: str) -> None:
    answer = own.client().get(path)
    assert answer.status_code == 200
    assert "Fleet" in answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["content-security-policy"] == PAGE_POLICY


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/assets/index-abc.js", "text/javascript; charset=utf-8"),
        ("/assets/style-abc.css", "text/css; charset=utf-8"),
        ("/assets/mark.svg", "image/svg+xml"),
    ],
)
def test_assets_have_their_type_and_may_be_kept_forever(own: Site, path: str, kind: str) -> None:
    answer = own.client().get(path)
    assert answer.headers["content-type"] == kind
    assert "immutable" in answer.headers["cache-control"]


def test_what_a_browser_has_already_is_not_sent_again(own: Site) -> None:
    client = own.client()
    tag = client.get("/").headers["etag"]
    again = client.get("/", headers={"If-None-Match": f'"other", W/{tag}'})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == tag
    assert client.get("/", headers={"If-None-Match": '"other"'}).status_code == 200


def test_text_is_packed_for_whoever_unpacks_it(own: Site) -> None:
    client = own.client()
    with client.stream("GET", "/assets/index-abc.js") as answer:
        packed = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed).decode() == SCRIPT
    plain = client.get("/assets/index-abc.js", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.text == SCRIPT


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/assets/../../secret.txt",
        "/assets/%2e%2e%2f%2e%2e%2fsecret.txt",
        "//secret.txt",
        "/assets/..%5c..%5csecret.txt",
    ],
)
def test_no_path_leads_out_of_the_folder(own: Site, path: str) -> None:
    assert "secret" not in own.client().get(path).text


@pytest.mark.parametrize("path", ["/assets/gone.js", "/api/gone", "/v1/gone"])
def test_what_is_gone_is_told_in_our_own_shape(own: Site, path: str) -> None:
    answer = own.client().get(path)
    assert answer.status_code == 404
    assert set(answer.json()) == {"error", "message", "hint"}


def test_a_page_can_only_be_read(own: Site) -> None:
    answer = own.client().post("/", json={})
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD"
    head = own.client().head("/")
    assert (head.status_code, head.content) == (200, b"")


def test_a_hub_without_built_pages_says_how_to_build_them(tmp_path: Path) -> None:
    with site(tmp_path, static=tmp_path / "absent") as running:
        answer = running.client().get("/")
        assert answer.status_code == 503
        assert "make pages" in answer.text
        assert running.client().get("/healthz").status_code == 200
