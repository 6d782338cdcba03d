"""The auth mode: users log in with name and password, or with a token. Then it echoes, and obeys a few commands.

This module holds the conversation only. The rules and the stored data are the business of logins.py.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

from common.errors import Busy, Refusal
from server.handlers.handler import Handler, Mode
from server.handlers.resources import Resources
from server.settings import LockoutOptions, PasswordOptions, SessionOptions

if TYPE_CHECKING:
    from server.identity.logins import Logins
    from server.identity.names import AccountName
    from server.identity.revocations import Login
    from server.identity.watcher import Watched

_TRIES = 3
_Result = TypeVar("_Result")
_HELP = """\
/help        this list
/whoami      the name you are logged in with
/password    change your password; ends your other sessions
/logout      end this session, with its token
/logout-all  end all your sessions, with their tokens
Any other line is echoed."""


class AuthHandler(Handler):
    takes_passwords: ClassVar[bool] = True
    uses_store: ClassVar[bool] = True

    class Options(Handler.Options):
        registration: Literal["open", "closed"] = "open"
        passwords: PasswordOptions = PasswordOptions()
        sessions: SessionOptions = SessionOptions()
        lockout: LockoutOptions = LockoutOptions()

    options: Options
    shared: "Logins"

    def __init__(self, request: Any, client_address: Any, server: Any, mode: Mode) -> None:
        super().__init__(request, client_address, server, mode)
        self._tries = _TRIES  # refusals that are left
        self._login: Login | None = None
        self._watched: Watched | None = None

    @classmethod
    def prepare(cls, options: Any, resources: Resources) -> "Logins":
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
        self.say(f"Hello, {login.name}!")
        self._go_on_as(login)

    def finish(self) -> None:
        self._unwatch()

    def _resume(self) -> "Login | None":
        """Return the login that the client's token resumes, or None."""
        token = self.recall_token()
        login = self.shared.resume(token) if token else None
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
            self.error(str(busy))
        except Refusal as refusal:
            self._tries -= 1
            self.log.warning("login refused: %s", refusal.reason)
            self.error(str(refusal))
        return None

    def _log_in_once(self) -> "Login | None":
        """Ask for name and password once; log in, or register a new name."""
        from server.identity.logins import IMPOSSIBLE
        from server.identity.names import account_name

        last = self.shared.last_name_at(self.address)
        typed = self.ask(f"Name [{last}]: " if last else "Name: ").strip() or last or ""
        is_open = self.options.registration == "open"
        try:
            name = account_name(typed)
        except Refusal:
            if is_open:
                raise
            name = IMPOSSIBLE  # the client must not see a difference to a wrong password
        if is_open and self.shared.is_new(name):
            return self._register(name)
        login = self.shared.log_in(name, self.ask_secret("Password: "), self.address, self.request.check_peer)
        self.log.info("%s logged in", login.name)
        return login

    def _register(self, name: "AccountName") -> "Login | None":
        """Register a new account. A refused password is asked again, and the name is not."""
        password = None
        while password is None and self._tries > 0:
            password = self._attempt(partial(self._ask_new_password, "New name. Choose a password"))
        if password is None:
            return None
        login = self.shared.register(name, password, self.address)
        self.log.info("%s registered and logged in", login.name)
        return login

    def _ask_new_password(self, prompt: str) -> str:
        """Ask for a password that an account may have, twice. Raise Refusal before the repetition if it may not."""
        least = self.options.passwords.min_length
        password = self.ask_secret(f"{prompt} (at least {least} characters): ")
        self.shared.passwords.check_new(password)
        if self.ask_secret("Repeat the password: ") != password:
            raise Refusal("the two passwords differ")
        return password

    def answer(self, text: str) -> None:
        """Echo a line, or obey it if it is a command."""
        assert self._login is not None
        if not text.startswith("/"):
            self.say(text)
        elif text == "/help":
            self.say(_HELP)
        elif text == "/whoami":
            self.say(self._login.name)
        elif text == "/password":
            self._change_password(self._login)
        elif text in ("/logout", "/logout-all"):
            self._log_out(self._login, everywhere=text == "/logout-all")
        else:
            self.error(f"no such command: {text[:40]} (/help lists them)")

    def _go_on_as(self, login: "Login") -> None:
        """Be logged in. From now on, an end of the session elsewhere ends the connection."""
        self._login = login
        self._watched = self.shared.watcher.watch(login, self.request.interrupt)

    def _unwatch(self) -> None:
        watched, self._watched = self._watched, None
        if watched is not None:
            self.shared.watcher.unwatch(watched)

    # These commands revoke the session of this connection itself. That must not end the connection before the answer,
    # so the session is not watched meanwhile.

    def _change_password(self, login: "Login") -> None:
        present = self.ask_secret("Current password: ")
        try:
            new = self._ask_new_password("New password")
        except Refusal as refusal:
            self.error(str(refusal))
            return
        self.request.step_aside()
        self._unwatch()
        try:
            changed = self.shared.change_password(login, present, new, self.address)
        except Refusal as refusal:
            self.log.warning("%s did not change the password: %s", login.name, refusal.reason)
            self.error(str(refusal))
            self._go_on_as(login)
            return
        self.request.pardon()  # whatever has ended the old session does not end the new one
        self.log.info("%s changed the password", login.name)
        self.store_token(changed.token or "")
        self.say("Your password is changed; your other sessions are ended.")
        self._go_on_as(changed)

    def _log_out(self, login: "Login", *, everywhere: bool) -> None:
        self.request.step_aside()
        self._unwatch()
        if everywhere:
            self.shared.log_out_everywhere(login)
        else:
            self.shared.log_out(login)
        self.log.info("%s logged out%s", login.name, " everywhere" if everywhere else "")
        self.store_token("")
        self.say("Goodbye!")
        self.end()
