"""The version of this release, in one place: the package's metadata and the command read it here."""

VERSION = "0.2.0"
