"""What is made for one answer is sent compressed; files are not touched."""

import gzip

from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.test import RequestFactory

from apps.core.middleware import CompressionMiddleware


def answered(response, accepts="gzip, br"):
    request = RequestFactory().get("/", headers={"Accept-Encoding": accepts})
    return CompressionMiddleware(lambda _request: response)(request)


def test_pages_and_json_are_compressed_for_whoever_reads_that():
    for made in (HttpResponse("word " * 500), JsonResponse({"words": ["word"] * 500})):
        whole = made.content

        sent = answered(made)

        assert sent["Content-Encoding"] == "gzip"
        assert gzip.decompress(sent.content) == whole
        assert len(sent.content) < len(whole) / 4
        assert "Accept-Encoding" in sent["Vary"]


def test_others_get_them_as_they_are():
    assert "Content-Encoding" not in answered(HttpResponse("word " * 500), accepts="identity")


def test_files_and_streams_are_left_alone():
    package = HttpResponse(b"0" * 5000, content_type="application/octet-stream")
    stream = StreamingHttpResponse(iter([b"word " * 500]), content_type="text/html")

    assert "Content-Encoding" not in answered(package)
    assert "Content-Encoding" not in answered(stream)
