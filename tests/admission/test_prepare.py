"""What is read of a review beforehand changes no answer."""

from dataclasses import replace

import pytest
from builders import GATEWAY_KIND, Node, block, from_, instance, named_peers, peer, policy, port, review
from hypothesis import given
from hypothesis import strategies as st
from pytest import MonkeyPatch

