"""Settings: read once from the environment, then frozen. Only the command line imports this.

Each is `CUSTODY_` and its name in capitals; README.md has the table, and a test compares.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from custody.outside import is_here


class Settings(BaseSettings):
    """What a process runs with."""

    model_config = SettingsConfigDict(
        env_prefix="CUSTODY_", env_ignore_empty=True, frozen=True, extra="ignore"
    )

    book: Path = Field(Path("book"), description="the folder of the book")
    standby: Literal["synchronous", "i-accept-that-a-failover-may-lose-hand-offs"] = Field(
        "synchronous",
        description="what PostgreSQL's standby is; else `i-accept-that-a-failover-may-lose-hand-offs`",
    )
    base_url: str = Field(
        "http://127.0.0.1:8080",
        description="where people sign in, by https but on this machine; stands in every alert",
    )
    label_host: str = Field(
        "",
        description=(
            "host on new labels, permanent, neutral, best 28 characters or fewer;"
            " empty: no QR labels can be printed yet"
        ),
    )
    found_phone: str = Field(
        "",
        description=(
            "whom a finder of a tape calls; stands on the found-property page and on the labels of cases"
        ),
    )
    listen: str = Field("127.0.0.1:8080", description="address and port that `custody serve` listens on")
    tls_certificate: Path | None = Field(None, description="certificate chain for `custody serve` (PEM)")
    tls_key: Path | None = Field(None, description="its private key (PEM)")
    proxies: int = Field(
        0, ge=0, le=5, description="proxies in front that say in X-Forwarded-For from where a request comes"
    )
    threads: int = Field(16, ge=2, le=64, description="requests that are served at once")
    pin: Path | None = Field(None, description="file on another disk that remembers the newest checkpoint")
    smtp_host: str = Field("", description="mail relay; without one no alert can leave")
    smtp_port: int = Field(587, ge=1, le=65535, description="its port")
    smtp_tls: Literal["starttls", "implicit", "none"] = Field(
        "starttls", description="how the line is encrypted; none where no password leaves this machine"
    )
    smtp_user: str = Field("", description="user name at the relay, if it wants one")
    smtp_password: str = Field("", description="its password")
    smtp_ca: str = Field("", description="file of the relay's own certificate authority, if it is private")
    mail_from: str = Field("", description="sender of alerts")
    heartbeat_url: str = Field(
        "",
        description="https address of an outside dead-man's switch, asked once a minute"
        " while the guard finds the book whole",
    )

    @field_validator("base_url")
    @classmethod
    def _encrypted(cls, url: str) -> str:
        """Passwords, one-time links and session cookies go there."""
        parts = urlsplit(url)
        if parts.scheme == "http" and not is_here(parts.hostname or ""):
            raise ValueError("passwords and one-time links would travel in the clear; give an https address")
        return url
