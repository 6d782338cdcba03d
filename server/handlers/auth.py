"""The auth mode: users log in with name and password, or with a token. Then it echoes, and obeys a few commands.

This module holds the conversation only. The rules and the stored data are the business of logins.py. Modes for users
who are logged in build on this one.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

from common.errors import Busy, Refusal
from server.counts import Count
from server.handlers.commands import CommandHandler
from server.handlers.handler import Handler
from server.handlers.resources import Mode, Resources
from server.settings import LockoutOptions, PasswordOptions, SessionOptions

if TYPE_CHECKING:
    from server.identity.logins import Logins
    from server.identity.names import AccountName
    from server.identity.revocations import Login
    from server.identity.watcher import Watched

_TRIES = 3
_REFUSALS: dict[type[Exception], Count] = {Busy: Count.LOGIN_BUSY, Refusal: Count.LOGIN_REFUSED}
"""How a login is counted that fails so; the first that fits."""
_Result = TypeVar("_Result")


class _InvalidToken(Refusal):
    """A login by token is refused; the client is asked for its name instead."""

    def __init__(self) -> None:
        super().__init__("the token is not valid")


@dataclass(frozen=True)
class User:
    """Who is logged in: the name as first typed, and the numbers of the account and of the session."""

    name: str
    account: int
    session: int


class AuthHandler(CommandHandler):
    """Users with a name and a password.

    A mode for users who are logged in is a subclass. It says in `reply` what happens to a line, adds commands as
    methods `do_NAME`, and finds in `self.user` who it is. `greeted` is called after the greeting. What `share`
    returns is `self.shared`, for all connections.
    """

    takes_passwords: ClassVar[bool] = True
    uses_store: ClassVar[bool] = True

    class Options(Handler.Options):
        registration: Literal["open", "closed"] = "open"
        passwords: PasswordOptions = PasswordOptions()
        sessions: SessionOptions = SessionOptions()
        lockout: LockoutOptions = LockoutOptions()

    options: Options

    def __init__(self, request: Any, client_address: Any, server: Any, mode: Mode) -> None:
        super().__init__(request, client_address, server, mode)
        self._logins: Logins = self._kept
        self._tries = _TRIES  # refusals that are left
        self._login: Login | None = None
        self._watched: Watched | None = None

    @property
    def user(self) -> User:
        """Return who is logged in. Before the login there is nobody, which is an error of the mode."""
        if self._login is None:
            raise LookupError("nobody is logged in yet")
        return User(self._login.name, self._login.account_id, self._login.session_id)

    @property
    def who(self) -> str | None:
        return None if self._login is None else self._login.name

    @classmethod
    def keep(cls, options: Any, resources: Resources) -> "Logins":
        # Imported here: the database and the hashing take 250 ms and 40 MiB, and echo does not need them.
        from server.identity.accounts import Accounts
        from server.identity.lockout import Lockout
        from server.identity.logins import Logins
        from server.identity.names import account_name
        from server.identity.passwords import Passwords
        from server.identity.revocations import Revocations
        from server.identity.sessions import Sessions

        account_name("first")  # loads the tables now, so that the first login takes no longer than others
        store = resources.store
        return Logins(
            store,
            Accounts(store, resources.registration_limits),
            Passwords(options.passwords, resources.hash_pool),
            Lockout(store, options.lockout),
            Sessions(store, options.sessions),
            Revocations(store),
            resources.watcher,
        )

    def converse(self) -> None:
        with self.before_login():
            login = self._resume() or self._log_in()
        if login is None:
            self.end()
        if login.token is not None:
            self.store_token(login.token)
        self._go_on_as(login)
        self.say(self.text("Hello, {name}!", name=login.name))
        self.greeted()

    def finish(self) -> None:
        self._unwatch()
        super().finish()

    def _resume(self) -> "Login | None":
        """Return the login that the client's token resumes, or None."""
        token = self.recall_token()
        login = None
        if token:
            with contextlib.suppress(_InvalidToken), self.mode.counts.login(Count.LOGIN_TOKEN, _REFUSALS):
                login = self._logins.resume(token)
                if login is None:
                    raise _InvalidToken
        if login is not None:
            self.log.info("%s is back with a token", login.name)
        elif token:
            self.log.info("the token is not valid")
        return login

    def _log_in(self) -> "Login | None":
        """Return the new login, or None after three refusals. A busy server is no refusal."""
        login = None
        while login is None and self._tries > 0:
            login = self._attempt(self._log_in_once)
        return login

    def _attempt(self, step: Callable[[], _Result | None]) -> _Result | None:
        """Take a step. A refusal is told to the client, counts as a try, and gives None."""
        try:
            return step()
        except Busy as busy:
            self.log.warning("login not checked: too busy")
            self.error(self.mode.language.error(busy))
        except Refusal as refusal:
            self._tries -= 1
            self.log.warning("login refused: %s", refusal.reason)
            self.error(self.mode.language.error(refusal))
        return None

    def _log_in_once(self) -> "Login | None":
        """Ask for name and password once; log in, or register a new name."""
        from server.identity.logins import IMPOSSIBLE
        from server.identity.names import account_name

        last = self._logins.last_name_at(self.address)
        prompt = self.text("Name [{last}]: ", last=last) if last else self.text("Name: ")
        typed = self.ask(prompt).strip() or last or ""
        is_open = self.options.registration == "open"
        try:
            name = account_name(typed)
        except Refusal:
            if is_open:
                raise
            name = IMPOSSIBLE  # the client must not see a difference to a wrong password
        if is_open and self._logins.is_new(name):
            return self._register(name)
        password = self.ask_secret(self.text("Password: "))
        with self.mode.counts.login(Count.LOGIN_PASSWORD, _REFUSALS):
            login = self._logins.log_in(name, password, self.address, self.request.check_peer)
        self.log.info("%s logged in", login.name)
        return login

    def _register(self, name: "AccountName") -> "Login | None":
        """Register a new account. A refused password is asked again, and the name is not."""
        password = None
        while password is None and self._tries > 0:
            prompt = "New name. Choose a password (at least {least} characters): "
            password = self._attempt(partial(self._ask_new_password, prompt))
        if password is None:
            return None
        with self.mode.counts.login(Count.LOGIN_REGISTERED, _REFUSALS):
            login = self._logins.register(name, password, self.address)
        self.log.info("%s registered and logged in", login.name)
        return login

    def _ask_new_password(self, prompt: str) -> str:
        """Ask for a password that an account may have, twice. Raise Refusal before the repetition if it may not."""
        least = self.options.passwords.min_length
        password = self.ask_secret(self.text(prompt, least=least))
        self._logins.passwords.check_new(password)
        if self.ask_secret(self.text("Repeat the password: ")) != password:
            raise Refusal("the two passwords differ")
        return password

    def do_whoami(self) -> None:
        """the name you are logged in with"""
        self.say(self.user.name)

    def do_password(self) -> None:
        """change your password; ends your other sessions"""
        assert self._login is not None
        self._change_password(self._login)

    def do_logout(self) -> None:
        """end this session, with its token"""
        self._log_out(self._logins.log_out)

    def do_logout_all(self) -> None:
        """end all your sessions, with their tokens"""
        self._log_out(self._logins.log_out_everywhere)

    def _go_on_as(self, login: "Login") -> None:
        """Be logged in. From now on, an end of the session elsewhere ends the connection."""
        self._login = login
        self._watched = self._logins.watcher.watch(login, self.request.interrupt)

    def _unwatch(self) -> None:
        watched, self._watched = self._watched, None
        if watched is not None:
            self._logins.watcher.unwatch(watched)

    # These commands revoke the session of this connection itself. That must not end the connection before the answer,
    # so the session is not watched meanwhile.

    def _change_password(self, login: "Login") -> None:
        present = self.ask_secret(self.text("Current password: "))
        try:
            new = self._ask_new_password("New password (at least {least} characters): ")
        except Refusal as refusal:
            self.error(self.mode.language.error(refusal))
            return
        self.request.step_aside()
        self._unwatch()
        try:
            changed = self._logins.change_password(login, present, new, self.address)
        except Refusal as refusal:
            self.log.warning("%s did not change the password: %s", login.name, refusal.reason)
            self.error(self.mode.language.error(refusal))
            self._go_on_as(login)
            return
        self.request.pardon()  # whatever has ended the old session does not end the new one
        self.log.info("%s changed the password", login.name)
        self.store_token(changed.token or "")
        self._go_on_as(changed)
        self.say(self.text("Your password is changed; your other sessions are ended."))

    def _log_out(self, end: "Callable[[Login], None]") -> None:
        login = self._login
        assert login is not None
        self.request.step_aside()
        self._unwatch()
        end(login)
        self.log.info("%s logged out%s", login.name, " everywhere" if end == self._logins.log_out_everywhere else "")
        self.store_token("")
        self.say(self.text("Goodbye!"))
        self.end()
