"""No webhook leads back into our own network, however the way in is spelled."""

from ipaddress import ip_address
from typing import Final

import pytest

from paidonce.webhook_endpoints.ssrf import Target, UrlRefused, check_address, read_url

# Each of these is refused when an endpoint is made, without asking anybody for an address.
REFUSED_URLS: Final = [
    # Loopback, private, link-local, metadata, as they are usually written.
    "https://127.0.0.1/",
    "https://127.0.0.1:8443/hook",
    "https://127.1.2.3/",
    "https://10.0.0.1/",
    "https://172.16.0.1/",
    "https://172.31.255.255/",
    "https://192.168.1.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://169.254.0.1/",
    "https://100.64.0.1/",
    "https://100.100.100.200/",
    "https://168.63.129.16/",
    "https://192.0.0.192/",
    "https://0.0.0.0/",
    "https://0.1.2.3/",
    "https://224.0.0.1/",
    "https://239.255.255.255/",
    "https://240.0.0.1/",
    "https://255.255.255.255/",
    "https://198.18.0.1/",
    "https://198.19.255.255/",
    "https://192.0.2.1/",
    "https://198.51.100.1/",
    "https://203.0.113.1/",
    "https://192.88.99.1/",
    # The same numbers in other spellings.
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.0.0.1/",
    "https://0X7F.0.0.1/",
    "https://017700000001/",
    "https://0177.0.0.1/",
    "https://127.1/",
    "https://127.0.1/",
    "https://0/",
    "https://127.0.0.01/",
    "https://127.0.0.1./",
    "https://127.0.0.0x1/",
    "https://256.256.256.256/",
    "https://1.2.3.4.5/",
    "https://3232235777/",
    "https://10.0x000001/",
    # IPv6, and IPv4 inside of it.
    "https://[::1]/",
    "https://[::]/",
    "https://[0:0:0:0:0:0:0:1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[::ffff:8.8.8.8]/",
    "https://[::127.0.0.1]/",
    "https://[::7f00:1]/",
    "https://[fe80::1]/",
    "https://[fe80::1%25eth0]/",
    "https://[fe80::1%eth0]/",
    "https://[fec0::1]/",
    "https://[fc00::1]/",
    "https://[fd00:ec2::254]/",
    "https://[ff02::1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[64:ff9b::10.0.0.1]/",
    "https://[64:ff9b::a9fe:a9fe]/",
    "https://[64:ff9b:1::1]/",
    "https://[2002:7f00:1::]/",
    "https://[2002:a00:1::1]/",
    "https://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/",
    "https://[2001:db8::1]/",
    "https://[2001:2::1]/",
    "https://[3fff::1]/",
    "https://[100::1]/",
    "https://[5f00::1]/",
    "https://[2600::5efe:10.0.0.1]/",
    "https://[127.0.0.1]/",
    "https://[8.8.8.8]/",
    "https://[::1/",
    "https://::1/",
    "https://[]/",
    # Names that mean this machine or this network.
    "https://localhost/",
    "https://LOCALHOST/",
    "https://localhost./",
    "https://localhost.localdomain/",
    "https://hooks.localhost/",
    "https://printer.local/",
    "https://metadata.google.internal/computeMetadata/v1/",
    "https://router.home.arpa/",
    "https://intranet/",
    "https://shop.example./",
    "https://shop..example/",
    "https://.shop.example/",
    "https://-shop.example/",
    "https://shop_.example/",
    # Tricks with what surrounds the host.
    "https://user@shop.example/",
    "https://user:password@shop.example/",
    "https://shop.example@127.0.0.1/",
    "https://127.0.0.1#@shop.example/",
    "https://shop.example#fragment",
    "https://shop.example/#",
    "https://127.0.0.1\\@shop.example/",
    "https://shop.example\\@127.0.0.1/",
    "https:\\\\127.0.0.1/",
    "https:/127.0.0.1/",
    "https:///127.0.0.1/",
    "https://%31%32%37.0.0.1/",
    "https://127%2e0%2e0%2e1/",
    "https://shop.example%00.127.0.0.1/",
    "https://shop.example:0/",
    "https://shop.example:65536/",
    "https://shop.example:/",
    "https://shop.example:+443/",
    "https://shop.example:0443/",
    "https://shop.example:443:80/",
    " https://shop.example/",
    "https://shop.example/ ",
    "https://shop.example/a b",
    "https://shop.example/\r\nHost: 127.0.0.1",
    "https://shop.example\t/",
    # Digits and dots that are none, and punycode that stands for them.
    "https://\u2460\u2461\u2466.\u24ea.\u24ea.\u2460/",
    "https://127\u30020\u30020\u30021/",
    "https://\uff11\uff12\uff17.\uff10.\uff10.\uff11/",
    "https://\u24dbocalhost/",
    "https://\u0661\u0662\u0667.\u0660.\u0660.\u0661/",
    "https://xn--" + "\u24dbocalhost".encode("punycode").decode() + ".example/",
    "https://xn--" + "\uff11\uff12\uff17".encode("punycode").decode() + ".0.0.1/",
    "https://shop.xn--\x80/",
    # Other ways than https.
    "http://shop.example/",
    "HTTPS://shop.example/",
    "ftp://shop.example/",
    "file:///etc/passwd",
    "gopher://shop.example/",
    "//shop.example/",
    "shop.example",
    "",
    "https://",
    "https://shop.example/" + "a" * (2049 - len("https://shop.example/")),
]

ALLOWED_URLS: Final = {
    "https://shop.example/hooks?from=paidonce": Target("https", "shop.example", 443, "/hooks?from=paidonce"),
    "https://Shop.Example:8443": Target("https", "shop.example", 8443, "/"),
    "https://shop.example?a=b": Target("https", "shop.example", 443, "/?a=b"),
    "https://8.8.8.8/": Target("https", "8.8.8.8", 443, "/"),
    "https://[2606:4700::1111]:8443/": Target("https", "2606:4700::1111", 8443, "/"),
    "https://[64:ff9b::808:808]/": Target("https", "64:ff9b::808:808", 443, "/"),
    "https://xn--bcher-kva.example/": Target("https", "xn--bcher-kva.example", 443, "/"),
    "https://3com.example/%7Euser": Target("https", "3com.example", 443, "/%7Euser"),
}

# What a name may lead to, whatever the name is: each is refused before anything connects.
REFUSED_ADDRESSES: Final = [
    "127.0.0.1", "10.1.2.3", "172.20.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
    "255.255.255.255", "192.0.2.1", "198.18.0.1", "168.63.129.16", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1",
    "fec0::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::10.0.0.1", "64:ff9b::10.0.0.1", "2002:a00:1::",
    "2001::1", "2001:db8::1", "fd00:ec2::254",
]  # fmt: skip


@pytest.mark.parametrize("url", REFUSED_URLS)
def test_a_url_that_leads_inside_or_can_be_read_in_two_ways_is_refused(url: str) -> None:
    with pytest.raises(UrlRefused):
        read_url(url, allow_private=False)


def test_the_corpus_is_as_large_as_is_promised() -> None:
    assert len(set(REFUSED_URLS)) >= 120


@pytest.mark.parametrize("url", list(ALLOWED_URLS))
def test_a_url_on_the_public_internet_is_read_in_its_one_way(url: str) -> None:
    assert read_url(url, allow_private=False) == ALLOWED_URLS[url]


def test_a_url_may_have_2048_characters() -> None:
    url = "https://shop.example/".ljust(2048, "a")
    assert read_url(url, allow_private=False).host == "shop.example"


@pytest.mark.parametrize("address", REFUSED_ADDRESSES)
def test_an_address_that_is_not_on_the_internet_is_refused(address: str) -> None:
    with pytest.raises(UrlRefused):
        check_address(ip_address(address), allow_private=False)


@pytest.mark.parametrize(
    "url", ["http://localhost:8000/", "http://127.0.0.1:1/", "https://10.0.0.1/", "http://[::1]/", "http://shop/"]
)
def test_in_development_loopback_and_private_networks_are_allowed(url: str) -> None:
    assert read_url(url, allow_private=True).scheme in ("http", "https")


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/",
        "http://100.100.100.200/",
        "http://[fd00:ec2::254]/",
        "http://0.0.0.0/",
        "http://224.0.0.1/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://user@localhost/",
        "http://[::ffff:127.0.0.1]/",
    ],
)
def test_metadata_services_and_odd_spellings_are_refused_even_in_development(url: str) -> None:
    with pytest.raises(UrlRefused):
        read_url(url, allow_private=True)
