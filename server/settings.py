"""The types of the configuration: every key, its default and its bounds. Where values come from is not known here.

Times are in seconds. Each handler declares its own options as a Section (see handler.py).
"""

import ipaddress
import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from common.addresses import may_be_host

Seconds = Annotated[float, Field(gt=0, le=10 * 365 * 86400, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=10_000_000)]
LargeCount = Annotated[int, Field(ge=1, le=10**12)]
Port = Annotated[int, Field(ge=0, le=65535)]


def _check_store_url(url: str) -> str:
    if not url.startswith(("sqlite:///", "postgresql://", "postgresql+psycopg://")):
        raise ValueError("must be sqlite:///FILE or postgresql+psycopg://USER@HOST/DATABASE")
    return url


def _check_no_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not hold a NUL character")
    return text


def _check_host(text: str) -> str:
    if not may_be_host(text):
        raise ValueError("must be an address or the name of a host")
    return text


FilePath = Annotated[str, AfterValidator(_check_no_nul)]
StoreUrl = Annotated[str, AfterValidator(_check_store_url)]


class Section(BaseModel):
    """A part of the configuration. Unknown keys and values of a wrong type are errors; a section never changes."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Tls(Section):
    enabled: bool = True
    certificate: FilePath = "data/tls/certificate.pem"
    key: FilePath = "data/tls/key.pem"
    allow_plain_login: bool = False


class Limits(Section):
    max_connections: Count = 1024
    max_connections_per_address: Count = 100
    # A TLS record, read as a message header, gives a length of 350 million bytes or more. A much lower limit lets
    # the server tell TLS from a message.
    max_message: Annotated[int, Field(ge=1, le=67_108_864)] = 65536
    max_unsent: Count = 262_144
    max_message_before_login: Annotated[int, Field(ge=1, le=67_108_864)] = 4096
    handshake_timeout: Seconds = 10
    login_timeout: Seconds = 120
    message_timeout: Seconds = 10
    idle_timeout: Seconds = 3600
    send_timeout: Seconds = 10
    drain_timeout: Seconds = 10


def _check_network(text: str) -> str:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        raise ValueError("must be an address or a network, as in 10.0.0.0/8") from None
    return text


class ProxyProtocol(Section):
    trusted: list[Annotated[str, AfterValidator(_check_network)]] = Field(default_factory=list, max_length=1000)
    timeout: Seconds = 3


def _check_endpoint(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if text and not (colon and port.isdecimal() and int(port) < 65536 and may_be_host(host.strip("[]")) and host):
        raise ValueError("must be HOST:PORT, as in 127.0.0.1:9190, or empty")
    return text


class MonitoringSettings(Section):
    address: Annotated[str, AfterValidator(_check_endpoint)] = ""
    readiness_delay: Annotated[float, Field(ge=0, le=600)] = 0


class RegistrationLimits(Section):
    per_address_per_hour: Count = 1000
    total: LargeCount = 100_000


def _check_class_name(text: str) -> str:
    if not re.fullmatch(r"[\w.]+:[\w.]+", text):
        raise ValueError("must be MODULE:CLASS, as in server.handlers.echo:EchoHandler")
    return text


class HandlerEntry(Section):
    """The class of a handler, as `module:class`, and its options, which the class itself checks."""

    class_: Annotated[str, AfterValidator(_check_class_name)] = Field(alias="class")
    options: dict[str, Any] = Field(default_factory=dict)


DEFAULT_HANDLERS = {
    "echo": {"class": "server.handlers.echo:EchoHandler"},
    "identify": {"class": "server.handlers.identify:IdentifyHandler"},
    "auth": {"class": "server.handlers.auth:AuthHandler"},
    "chat": {"class": "server.handlers.chat:ChatHandler"},
}


class Settings(Section):
    mode: str = "auth"
    host: Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_check_host)] = "127.0.0.1"
    port: Port = 9090
    store: StoreUrl = "sqlite:///data/porter.db"
    logging: FilePath = "conf/logging.yaml"
    port_taken: Literal["next", "fail"] = "next"
    store_pool: Annotated[int, Field(ge=1, le=1000)] = 5
    workers: Literal["auto"] | Annotated[int, Field(ge=1, le=1024)] = 1
    cpu_affinity: Literal["auto", "off"] = "auto"
    language: Literal["en", "ru"] = "en"
    control: FilePath = "data/control"
    monitoring: MonitoringSettings = MonitoringSettings()
    proxy_protocol: ProxyProtocol = ProxyProtocol()
    tls: Tls = Tls()
    limits: Limits = Limits()
    registration_limits: RegistrationLimits = RegistrationLimits()
    handlers: dict[str, HandlerEntry] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _keep_default_handlers(cls, data: Any) -> Any:
        """Merge `handlers` with the defaults, so that `handlers: {auth: {options: ...}}` keeps the class."""
        if not isinstance(data, dict) or not isinstance(data.get("handlers", {}), dict):
            return data
        given = data.get("handlers", {})
        merged = {**DEFAULT_HANDLERS, **given}
        for name, default in DEFAULT_HANDLERS.items():
            if isinstance(merged[name], dict):
                merged[name] = {**default, **merged[name]}
        return {**data, "handlers": merged}


MOST_PASSWORD_CHARACTERS = 256
MOST_MEMORY_KIB = 262_144
MOST_WORK = 4_194_304
"""The highest cost of one hash, in KiB times passes: about two seconds of one core."""
MOST_THREADS = 16


class Argon2Options(Section):
    """The cost of a hash. The default is one that OWASP recommends: 19 MiB, two passes, about 20 ms."""

    memory_kib: Annotated[int, Field(ge=8, le=MOST_MEMORY_KIB)] = 19456
    time_cost: Annotated[int, Field(ge=1, le=MOST_WORK // 8)] = 2
    parallelism: Annotated[int, Field(ge=1, le=MOST_THREADS)] = 1

    @model_validator(mode="after")
    def _check_cost(self) -> Self:
        # RFC 9106, 3.1: at least 8 KiB for each lane.
        if self.memory_kib < 8 * self.parallelism:
            raise ValueError(f"memory_kib must be at least {8 * self.parallelism}, 8 for each thread")
        if self.memory_kib * self.time_cost > MOST_WORK:
            raise ValueError(f"memory_kib times time_cost must be at most {MOST_WORK}")
        return self


class PasswordOptions(Section):
    min_length: Annotated[int, Field(ge=1, le=MOST_PASSWORD_CHARACTERS)] = 8
    argon2: Argon2Options = Argon2Options()


class SessionOptions(Section):
    idle: Seconds = 86400
    absolute: Seconds = 604800
    per_user: Annotated[int, Field(ge=1, le=1000)] = 5
    renew_after: Seconds = 3600


class LockoutOptions(Section):
    free_attempts: Annotated[int, Field(ge=1, le=100)] = 5
    first_delay: Seconds = 30
    max_delay: Seconds = 3600
