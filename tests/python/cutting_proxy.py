"""Something between a client and an HTTP server that loses answers."""

import contextlib
import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class CuttingProxy(BaseHTTPRequestHandler):
    """Passes requests on. Of those that write, every third is carried out and never answered."""

    def relay(self):
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        upstream = http.client.HTTPConnection("127.0.0.1", self.server.upstream)
        upstream.request(self.command, self.path, body, dict(self.headers))
        answer = upstream.getresponse()
        content = answer.read()
        upstream.close()
        if self.command in ("PUT", "POST") and self.server.cuts():
            self.close_connection = True
            return
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "content-length", "transfer-encoding"):
                self.send_header(name, value)
        self.send_header("Content-Length", answer.getheader("Content-Length") or len(content))
        self.end_headers()
        self.wfile.write(content)

    do_DELETE = do_GET = do_HEAD = do_POST = do_PUT = relay

    def log_message(self, *_):
        pass


class Proxy(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, upstream):
        super().__init__(("127.0.0.1", 0), CuttingProxy)
        self.upstream = upstream
        self.cut = 0
        self._writes = 0
        self._lock = threading.Lock()

    def cuts(self):
        """Whether the answer to this write is lost."""
        with self._lock:
            self._writes += 1
            lost = self._writes % 3 == 0
            self.cut += lost
            return lost


@contextlib.contextmanager
def losing_answers(port):
    """A proxy before `port`; its `server_port`, and how many answers it `cut`."""
    with Proxy(port) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, daemon=True)
        thread.start()
        yield proxy
        proxy.shutdown()
        thread.join()
