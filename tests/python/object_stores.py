"""Object stores as real servers on loopback: two that speak S3, one Azure Blob Storage, one Google's.

moto is a Python package like the others here. The rest is what `./test --all` installs below
`target/test-stores`.
"""

import base64
import contextlib
import hashlib
import hmac
import json
import logging
import os
import socket
import subprocess
import threading
import time
import urllib.request
from dataclasses import dataclass
from email.utils import formatdate

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from drift_server import ROOT

INSTALLED = os.path.join(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"), "test-stores")
BUCKET = "drift"
START_SECONDS = 60
# The account and key that every Azurite has.
AZURE_ACCOUNT = "devstoreaccount1"
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@dataclass
class ObjectStore:
    """A place in an object store, and the variables with which a server finds it."""

    uri: str
    environment: dict

    def below(self, name):
        return ObjectStore(f"{self.uri}/{name}", self.environment)


@dataclass
class Service:
    """How one kind of server is started, and how its clients are told where it is."""

    scheme: str
    start: callable
    environment: callable
    make_bucket: callable

    def store_at(self, port):
        """Its bucket, through `port`: the server's own or that of something in between."""
        return ObjectStore(f"{self.scheme}://{BUCKET}", self.environment(port))


@contextlib.contextmanager
def moto():
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    # One request at a time: moto looks whether an object exists and writes it in two steps.
    server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=False)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.port
    server.shutdown()
    thread.join()


def gofakes3():
    return process("bin/gofakes3", "-backend", "memory", "-host", "127.0.0.1:{port}")


def azurite():
    quiet = ("--silent", "--disableTelemetry", "--inMemoryPersistence", "--skipApiVersionCheck")
    return process("node_modules/.bin/azurite-blob", "--blobPort", "{port}", *quiet)


def fake_gcs_server():
    at = ("-host", "127.0.0.1", "-port", "{port}", "-public-host", "127.0.0.1:{port}")
    return process("bin/fake-gcs-server", "-backend", "memory", "-scheme", "http", *at)


@contextlib.contextmanager
def process(command, *arguments):
    """Runs one of the installed servers; its port."""
    command = os.path.join(INSTALLED, command)
    if not os.path.exists(command):
        raise FileNotFoundError(f"no {command}: `./test --all` installs it")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    arguments = [argument.format(port=port) for argument in arguments]
    with open(f"{command}.log", "wb") as log:
        server = subprocess.Popen([command, *arguments], stdout=log, stderr=log)
    try:
        wait_until_it_listens(server, port)
        yield port
    finally:
        server.kill()
        server.wait()


def wait_until_it_listens(server, port):
    give_up = time.monotonic() + START_SECONDS
    while True:
        assert server.poll() is None, f"{server.args[0]} ended: see its .log"
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            assert time.monotonic() < give_up, f"{server.args[0]} does not listen"
            time.sleep(0.05)


def aws_environment(port):
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }


def azure_environment(port):
    endpoint = f"http://127.0.0.1:{port}/{AZURE_ACCOUNT}"
    connection = f"AccountName={AZURE_ACCOUNT};AccountKey={AZURE_KEY};BlobEndpoint={endpoint};"
    return {"AZURE_STORAGE_CONNECTION_STRING": f"DefaultEndpointsProtocol=http;{connection}"}


def google_environment(port):
    return {"STORAGE_EMULATOR_HOST": f"127.0.0.1:{port}"}


def make_s3_bucket(port):
    request("PUT", f"http://127.0.0.1:{port}/{BUCKET}")


def make_google_bucket(port):
    body = json.dumps({"name": BUCKET}).encode()
    request("POST", f"http://127.0.0.1:{port}/storage/v1/b?project=test", body, {"Content-Type": "application/json"})


def make_azure_container(port):
    """One request, signed with the account's key (Azure's "Authorize with Shared Key")."""
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
    named = "".join(f"{name}:{value}\n" for name, value in headers.items())
    text = "PUT" + "\n" * 12 + named + f"/{AZURE_ACCOUNT}/{AZURE_ACCOUNT}/{BUCKET}\nrestype:container"
    mac = hmac.digest(base64.b64decode(AZURE_KEY), text.encode(), hashlib.sha256)
    headers["Authorization"] = f"SharedKey {AZURE_ACCOUNT}:{base64.b64encode(mac).decode()}"
    request("PUT", f"http://127.0.0.1:{port}/{AZURE_ACCOUNT}/{BUCKET}?restype=container", headers=headers)


def request(method, url, body=None, headers={}):
    urllib.request.urlopen(urllib.request.Request(url, method=method, data=body, headers=headers)).close()


MOTO = Service("s3", moto, aws_environment, make_s3_bucket)
GOFAKES3 = Service("s3", gofakes3, aws_environment, make_s3_bucket)
AZURITE = Service("azblob", azurite, azure_environment, make_azure_container)
FAKE_GCS_SERVER = Service("gcs", fake_gcs_server, google_environment, make_google_bucket)
