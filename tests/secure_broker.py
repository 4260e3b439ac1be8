"""A real Kafka that lets nobody in without TLS and a name, and nothing be done without an ACL.

Its plain listener belongs to the tests, which are its administrator; product code only ever gets
the address of a secured one. Certificates come from an authority that lives as long as the broker.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from agents.acls import Grant
from agents.local_kafka import HOST, LocalKafka
from tests.ports import free_ports

TIMEOUT_S = 30.0
PLAIN_USERS = {"reader": "plain-secret-of-reader"}
ITERATIONS = 4_096  # the least that Kafka takes: it need not be slow here
MODULES = "org.apache.kafka.common.security"


@dataclass(frozen=True)
class SecureBroker:
    """A running broker with TLS, SASL and ACLs.

    Attributes
    ----------
    admin_servers
        Plain listener whose users may do everything.
    sasl_servers
        TLS, and a user's name and password (SCRAM-SHA-512, or PLAIN for `PLAIN_USERS`).
    tls_servers
        TLS with certificates on both sides.
    folder
        Has `ca.pem`, `other-ca.pem` (which signed nothing here), `client.pem` and `client.key`.
    """

    admin_servers: str
    sasl_servers: str
    tls_servers: str
    folder: Path

    def sasl(self, user: str, *, mechanism: str = "SCRAM-SHA-512") -> dict[str, str]:
        """Give the librdkafka settings with which a user logs in."""
        return {
            "security.protocol": "SASL_SSL",
            "ssl.ca.location": str(self.folder / "ca.pem"),
            "sasl.mechanism": mechanism,
            "sasl.username": user,
            "sasl.password": password(user),
        }

    def mutual_tls(self) -> dict[str, str]:
        """Give the librdkafka settings with which `client` shows its certificate."""
        return {
            "security.protocol": "SSL",
            "ssl.ca.location": str(self.folder / "ca.pem"),
            "ssl.certificate.location": str(self.folder / "client.pem"),
            "ssl.key.location": str(self.folder / "client.key"),
        }

    def add_user(self, user: str) -> None:
        """Make a user with a SCRAM password."""
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, ITERATIONS)
        wanted = UserScramCredentialUpsertion(user, info, password(user).encode())
        admin = AdminClient({"bootstrap.servers": self.admin_servers})
        admin.alter_user_scram_credentials([wanted])[user].result(TIMEOUT_S)

    def allow(self, user: str, grants: Iterable[Grant]) -> None:
        """Give a user exactly these rights, whatever it had before."""
        admin = AdminClient({"bootstrap.servers": self.admin_servers})
        whatever = (ResourceType.ANY, None, ResourcePatternType.ANY, f"User:{user}", "*")
        old = AclBindingFilter(*whatever, AclOperation.ANY, AclPermissionType.ANY)
        admin.delete_acls([old])[old].result(TIMEOUT_S)
        wanted = [binding for grant in grants for binding in _bindings(user, grant)]
        for answer in admin.create_acls(wanted).values():
            answer.result(TIMEOUT_S)


def password(user: str) -> str:
    """Return the password of a user: a text that occurs nowhere else."""
    return PLAIN_USERS.get(user, f"scram-secret-of-{user}")


def _bindings(user: str, grant: Grant) -> Iterator[AclBinding]:
    kind = {"topic": "TOPIC", "group": "GROUP", "transactional-id": "TRANSACTIONAL_ID"}
    pattern = ResourcePatternType.PREFIXED if grant.prefixed else ResourcePatternType.LITERAL
    resource = ResourceType[kind[grant.resource]]
    for operation in grant.operations:
        what = AclOperation[_screaming(operation)]
        yield AclBinding(
            resource, grant.name, pattern, f"User:{user}", "*", what, AclPermissionType.ALLOW
        )


def _screaming(name: str) -> str:
    return "".join(f"_{c}" if c.isupper() else c for c in name).strip("_").upper()


@contextmanager
def run_secure_broker(folder: Path) -> Iterator[SecureBroker]:
    """Start one; its certificates lie in `folder`.

    Raises
    ------
    LocalKafkaError
        If Java or Maven is missing, or the broker does not start.
    """
    make_certificates(folder)
    plain, sasl, tls, controller = (f"{HOST}:{port}" for port in free_ports(4))
    properties = _properties(folder, plain=plain, sasl=sasl, tls=tls, controller=controller)
    with LocalKafka(int(plain.rpartition(":")[2]), properties=properties):
        yield SecureBroker(plain, sasl, tls, folder)


def _properties(
    folder: Path, *, plain: str, sasl: str, tls: str, controller: str
) -> Mapping[str, str]:
    clients = f"PLAINTEXT://{plain},SASL_SSL://{sasl},SSL://{tls}"
    users = " ".join(f'user_{name}="{secret}"' for name, secret in PLAIN_USERS.items())
    return {
        "listeners": f"{clients},CONTROLLER://{controller}",
        "advertised.listeners": clients,
        "controller.quorum.voters": f"1@{controller}",
        "listener.security.protocol.map": (
            "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL"
        ),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(folder / "broker-store.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(folder / "ca.pem"),
        "listener.name.ssl.ssl.client.auth": "required",
        "ssl.principal.mapping.rules": "RULE:^CN=(.*)$/$1/",
        "listener.name.sasl_ssl.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
        "listener.name.sasl_ssl.plain.sasl.jaas.config": (
            f"{MODULES}.plain.PlainLoginModule required {users};"
        ),
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": (
            f"{MODULES}.scram.ScramLoginModule required;"
        ),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "false",
        # The broker itself and the tests, who come by the plain listener.
        "super.users": "User:ANONYMOUS;User:admin",
        # The default waits a second before it says that a password is wrong.
        "connection.failed.authentication.delay.ms": "50",
    }


def make_certificates(folder: Path) -> None:
    """Make two authorities, and certificates for the broker and for a client of the first."""
    for name in ("ca", "other-ca"):
        _openssl_req(folder, name, "-subj", f"/CN={name}")
    signed = ("-CA", "ca.pem", "-CAkey", "ca.key")
    address = ("-addext", f"subjectAltName=IP:{HOST}")
    _openssl_req(folder, "broker", "-subj", "/CN=broker", *address, *signed)
    _openssl_req(folder, "client", "-subj", "/CN=client", *signed)
    store = (folder / "broker.key").read_text() + (folder / "broker.pem").read_text()
    (folder / "broker-store.pem").write_text(store)


def _openssl_req(folder: Path, name: str, *options: str) -> None:
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    files = ("-keyout", f"{name}.key", "-out", f"{name}.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-days", "2", *key, *files, *options],
        cwd=folder,
        check=True,
        capture_output=True,
    )
