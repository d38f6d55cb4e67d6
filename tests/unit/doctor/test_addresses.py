"""Which addresses a sandbox at Modal cannot reach."""

from __future__ import annotations

import pytest

from zenml_modal_nb.doctor.addresses import why_unreachable

HOSTS = {
    "zenml.acme.com": ("93.184.216.34",),
    "vpn.acme.com": ("10.1.2.3",),
    "both.acme.com": ("10.1.2.3", "93.184.216.34"),
}


def why(address: str) -> str | None:
    return why_unreachable(address, lambda host: HOSTS.get(host, ()))


@pytest.mark.parametrize(
    "address",
    [
        "https://zenml.acme.com",
        "https://both.acme.com/api",
        "https://93.184.216.34:8443",
        "https://[2606:2800:220:1:248:1893:25c8:1946]/",
        "https://unknown.acme.com",  # what this machine cannot find, a sandbox may
        "s3://bucket/prefix",
        "gs://localhost",  # a bucket's name
        "docker.io/acme",
        "123456789.dkr.ecr.us-east-1.amazonaws.com/acme",
        "https://internal.acme.com",
    ],
)
def test_a_public_address_or_a_bucket_can_be_reached(address: str) -> None:
    assert why(address) is None


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("http://127.0.0.1:8237", "this machine itself"),
        ("http://127.8.0.1", "this machine itself"),
        ("http://localhost:8080", "this machine itself"),
        ("http://LOCALHOST.:8080", "this machine itself"),
        ("localhost:5000", "this machine itself"),
        ("http://0.0.0.0:9000", "this machine itself"),
        ("http://[::1]:9000", "this machine itself"),
        ("http://[::ffff:127.0.0.1]/", "this machine itself"),
        ("http://10.0.0.7", "private network"),
        ("http://172.16.4.1:80", "private network"),
        ("https://192.168.178.20/api", "private network"),
        ("https://100.64.0.1", "private network"),
        ("http://[fd00::1]/", "private network"),
        ("http://169.254.1.1", "link-local"),
        ("http://[fe80::1%25eth0]/", "link-local"),
        ("http://nas.local:9000", "private network only"),
        ("http://minio.internal", "private network only"),
        ("http://minio:9000", "has no domain"),
        ("registry:5000/acme", "has no domain"),
        ("https://vpn.acme.com", "leads to 10.1.2.3"),
        ("/home/me/artifacts", "this machine's disk"),
        ("~/artifacts", "this machine's disk"),
        ("file:///srv/artifacts", "this machine's disk"),
        ("C:\\artifacts", "this machine's disk"),
        ("a directory of this machine", "this machine's disk"),
        ("mysql://db.internal:3306/zenml", "private network only"),
        ("https://[oops", "no valid address"),
    ],
)
def test_what_only_this_machine_or_network_has_cannot_be_reached(address: str, reason: str) -> None:
    assert reason in str(why(address))
