"""An object store on this machine that speaks as much of S3's protocol as pyarrow asks for."""

from __future__ import annotations

import io
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

ETAG = '"0123456789abcdef0123456789abcdef"'
DATE = "Sun, 01 Jun 2025 00:00:00 GMT"


@contextmanager
def object_store():
    """Give a store's objects, by bucket/key, and what has to stand behind the ? of a URI to reach it."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Store) as server:
        server.objects, server.uploads = {}, {}
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        port = server.server_address[1]
        try:
            yield server.objects, f"endpoint_override=127.0.0.1:{port}&scheme=http&region=us-east-1"
        finally:
            server.shutdown()
            thread.join()


class Store(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def parsed(self):
        url = urlsplit(self.path)
        path = unquote(url.path).lstrip("/")
        path = path.rstrip("/") if path.find("/") == len(path) - 1 else path  # a bucket alone
        return path, parse_qs(url.query, keep_blank_values=True)

    def body(self):
        content = self.rfile
        if self.headers.get("transfer-encoding") == "chunked":
            content = io.BytesIO(unchunked(content))
        else:
            content = io.BytesIO(content.read(int(self.headers.get("content-length", 0))))
        # What a client of today sends has chunks of its own within those of HTTP, and a checksum behind.
        ours = "aws-chunked" in self.headers.get("content-encoding", "")
        return unchunked(content) if ours else content.read()

    def answer(self, code, content=b"", **headers):
        self.send_response(code)
        told = {"content_length": str(len(content)), "etag": ETAG, "last_modified": DATE} | headers
        for name, value in told.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def xml(self, name, inside):
        text = f'<?xml version="1.0" encoding="UTF-8"?><{name}>{inside}</{name}>'
        self.answer(200, text.encode(), content_type="application/xml")

    def missing(self):
        text = "<?xml version='1.0'?><Error><Code>NoSuchKey</Code><Message>no such key</Message></Error>"
        self.answer(404, text.encode(), content_type="application/xml")

    def do_HEAD(self):
        path, _ = self.parsed()
        if path in self.server.objects:
            self.answer(200, content_length=str(len(self.server.objects[path])))
        elif "/" not in path:
            self.answer(200)
        else:
            self.missing()

    def do_GET(self):
        path, query = self.parsed()
        if "list-type" in query:
            return self.listed(path, query.get("prefix", [""])[0], query.get("delimiter", [""])[0])
        if path not in self.server.objects:
            return self.missing()
        content = self.server.objects[path]
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("range", ""))
        if found is None:
            return self.answer(200, content)
        first, last = int(found[1]), min(int(found[2]), len(content) - 1)
        span = f"bytes {first}-{last}/{len(content)}"
        return self.answer(206, content[first : last + 1], content_range=span)

    def listed(self, bucket, prefix, delimiter):
        keys = [
            path.partition("/")[2] for path in sorted(self.server.objects) if path.startswith(f"{bucket}/")
        ]
        inside, folders = "", set()
        for key in (key for key in keys if key.startswith(prefix)):
            folder, below, _ = key[len(prefix) :].partition(delimiter or "\0")
            if below:
                folders.add(prefix + folder + delimiter)
                continue
            size = len(self.server.objects[f"{bucket}/{key}"])
            inside += (
                f"<Contents><Key>{escape(key)}</Key><LastModified>2025-06-01T00:00:00.000Z</LastModified>"
            )
            inside += f"<ETag>{escape(ETAG)}</ETag><Size>{size}</Size></Contents>"
        inside += "".join(
            f"<CommonPrefixes><Prefix>{escape(f)}</Prefix></CommonPrefixes>" for f in sorted(folders)
        )
        self.xml("ListBucketResult", f"<IsTruncated>false</IsTruncated>{inside}")

    def do_PUT(self):
        path, query = self.parsed()
        if "partNumber" in query:
            parts = self.server.uploads[query["uploadId"][0]]
            parts[int(query["partNumber"][0])] = self.body()
        else:
            self.server.objects[path] = self.body()
        self.answer(200)

    def do_POST(self):
        path, query = self.parsed()
        content = self.body()
        if "uploads" in query:
            name = f"upload{len(self.server.uploads)}"
            self.server.uploads[name] = {}
            return self.xml("InitiateMultipartUploadResult", f"<UploadId>{name}</UploadId>")
        if "delete" in query:
            for key in re.findall(rb"<Key>(.*?)</Key>", content):
                self.server.objects.pop(f"{path}/{key.decode()}", None)
            return self.xml("DeleteResult", "")
        parts = self.server.uploads[query["uploadId"][0]]
        self.server.objects[path] = b"".join(parts[i] for i in sorted(parts))
        return self.xml("CompleteMultipartUploadResult", f"<ETag>{escape(ETAG)}</ETag>")

    def do_DELETE(self):
        path, _ = self.parsed()
        self.server.objects.pop(path, None)
        self.answer(204)

    def log_message(self, *_):
        pass


def unchunked(stream):
    """The bytes of a body in chunks, each behind its length; what follows the last one is passed over."""
    whole = b""
    while length := int(stream.readline().split(b";")[0], 16):
        whole += stream.read(length)
        stream.readline()
    while stream.readline().strip():
        pass
    return whole
