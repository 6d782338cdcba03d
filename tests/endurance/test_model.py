"""A server and a model of it go through the same events, chosen by hypothesis: they must never differ.

Users register, log in, come back, log out; sessions expire; accounts are disabled; the server restarts or is killed.
"""

import contextlib
import sqlite3
from dataclasses import dataclass, field

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from common.wire.kinds import Kind
from tests.endurance import LONG
from tests.support import PorterTestCase, ServerProcess, Talker

NAMES = st.sampled_from(["anna", "bert", "cleo"])
SPELLINGS = st.sampled_from([str.lower, str.upper, str.title])
PASSWORDS = st.sampled_from(["correct horse", "another horse"])
PER_USER = 3


@dataclass
class Account:
    password: str
    disabled: bool = False
    tokens: list[str] = field(default_factory=list)  # of its sessions, the oldest first

    def open_session(self, token: str) -> None:
        self.tokens = [*self.tokens, token][-PER_USER:]


class Life(RuleBasedStateMachine):
    case: PorterTestCase  # the test that runs the server

    def __init__(self) -> None:
        super().__init__()
        self.accounts: dict[str, Account] = {}
        self.ended: list[str] = []

    @initialize()
    def start(self) -> None:
        database = self.case.folder / "data/porter.db"
        for path in (database, database.with_name("porter.db-journal")):
            path.unlink(missing_ok=True)
        self.start_server()

    def start_server(self) -> None:
        options = {"sessions": {"per_user": PER_USER}, "lockout": {"free_attempts": 100}}
        self.server = ServerProcess(
            self.case,
            "--config",
            str(self.case.write_configuration(mode="auth", handlers={"auth": {"options": options}})),
        )

    def teardown(self) -> None:
        self.server.close()

    def enter(self, name: str, *passwords: str) -> tuple[Kind, str, Talker]:
        """Log in or register under this name. Return the answer and the client."""
        client = self.server.talk()
        client.give_token()
        client.answer(Kind.ASK, name)
        for password in passwords:
            client.answer(Kind.SECRET, password)
        return *client.next(), client

    def end_sessions(self, name: str, tokens: list[str]) -> None:
        self.ended += tokens
        account = self.accounts[name]
        account.tokens = [token for token in account.tokens if token not in tokens]

    @rule(name=NAMES, spelled=SPELLINGS, password=PASSWORDS)
    def log_in_or_register(self, name: str, spelled: "type[str]", password: str) -> None:
        account = self.accounts.get(name)
        passwords = [password] if account else [password, password]
        kind, text, client = self.enter(spelled(name), *passwords)
        if account is None:
            account = self.accounts[name] = Account(password)
        elif account.disabled or password != account.password:
            assert (kind, text) == (Kind.ERROR, "wrong name or password"), text
        else:
            assert kind is Kind.SET_TOKEN, text
            before = account.tokens
            account.open_session(text)
            self.ended += [token for token in before if token not in account.tokens]
            client.expect(Kind.TEXT)
        client.connection.close()

    def resume(self, token: str) -> Talker | None:
        client = self.server.talk()
        client.give_token(token)
        kind, _ = client.next()
        if kind is Kind.TEXT:
            return client
        client.connection.close()
        return None

    def draw_account(self, data: st.DataObject) -> tuple[str, Account]:
        name = data.draw(st.sampled_from(sorted(self.accounts)))
        return name, self.accounts[name]

    @precondition(lambda self: any(account.tokens for account in self.accounts.values()))
    @rule(data=st.data(), command=st.sampled_from(["", "/logout", "/logout-all", "/password"]), new=PASSWORDS)
    def come_back(self, data: st.DataObject, command: str, new: str) -> None:
        name = data.draw(st.sampled_from(sorted(name for name, account in self.accounts.items() if account.tokens)))
        account = self.accounts[name]
        token = data.draw(st.sampled_from(account.tokens))
        client = self.resume(token)
        assert client is not None, f"{name} does not get in"
        if command == "/password":
            client.say(command)
            client.answer(Kind.SECRET, account.password)
            client.answer(Kind.SECRET, new)
            client.answer(Kind.SECRET, new)
            self.end_sessions(name, account.tokens)
            account.password = new
            account.open_session(client.expect(Kind.SET_TOKEN))
            client.expect(Kind.TEXT)
        elif command:
            client.say(command)
            client.expect(Kind.SET_TOKEN, "")
            self.end_sessions(name, [token] if command == "/logout" else account.tokens)
            client.expect(Kind.TEXT)
            client.expect_end()
        client.connection.close()

    @precondition(lambda self: self.accounts)
    @rule(data=st.data())
    def expire(self, data: st.DataObject) -> None:
        """Let a day pass for the sessions of one account."""
        name, account = self.draw_account(data)
        with contextlib.closing(sqlite3.connect(self.case.folder / "data/porter.db")) as database, database:
            database.execute(
                "UPDATE sessions SET last_used = last_used - 90000"
                " WHERE account_id = (SELECT id FROM accounts WHERE canonical = ?)",
                [name],
            )
        self.ended += account.tokens  # their rows stay until a login drops them
        account.tokens = []

    @precondition(lambda self: self.accounts)
    @rule(data=st.data())
    def disable_or_enable(self, data: st.DataObject) -> None:
        name, account = self.draw_account(data)
        account.disabled = not account.disabled
        self.case.administer("disable" if account.disabled else "enable", name)
        if account.disabled:
            self.end_sessions(name, account.tokens)

    @rule()
    def restart(self) -> None:
        self.case.assertEqual((0, "", ""), self.server.stop())
        self.start_server()

    @rule()
    def kill(self) -> None:
        self.server.close()
        self.start_server()

    @invariant()
    def an_ended_session_stays_ended(self) -> None:
        for token in self.ended[-3:]:
            assert self.resume(token) is None, "a session that was ended is alive"


class Model(PorterTestCase):
    def test_the_server_and_the_model_never_differ(self) -> None:
        Life.case = self
        run_state_machine_as_test(
            Life,
            settings=settings(
                max_examples=40 if LONG else 2,
                stateful_step_count=40 if LONG else 15,
                deadline=None,
                database=None,
                derandomize=not LONG,
                suppress_health_check=list(HealthCheck),
            ),
        )
