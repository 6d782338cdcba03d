"""Posts a notice: python examples/post_notice.py PORT NAME PASSWORD_FILE TEXT."""

import sys
from pathlib import Path

from client.library import Client
from client.trust import Endpoint
from common.errors import PorterError

port, name, file, notice = sys.argv[1:]
try:
    with Client(Endpoint("127.0.0.1", int(port))) as client:
        client.log_in(name, Path(file).read_text().rstrip("\n"))
        client.receive()  # the notices that are there
        print(client.ask(notice))
except PorterError as error:
    sys.exit(f"{error}")
