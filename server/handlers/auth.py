"""The auth mode: clients are known by name and password, and come back with a token. Then echo, and a few commands.

What may be, and what must be remembered, is decided in logins.py; here is only what is said.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from common.errors import Busy, Refusal
from server.handlers.handler import Handler
from server.handlers.resources import Resources
from server.settings import LockoutOptions, PasswordOptions, SessionOptions

if TYPE_CHECKING:
    from server.identity.logins import Login, Logins
    from server.identity.names import AccountName

_TRIES = 3
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

    @classmethod
    def prepare(cls, options: Any, resources: Resources) -> "Logins":
        # Imported here: the database and the hashing take 250 ms and 40 MiB that echo does without.
        from server.identity.accounts import Accounts
        from server.identity.lockout import Lockout
        from server.identity.logins import Logins
        from server.identity.names import account_name
        from server.identity.passwords import Passwords
        from server.identity.revocations import Revocations
        from server.identity.sessions import Sessions

        account_name("first")  # loads the tables, so that the first name is not told by its time
        store = resources.store
        return Logins(
            store,
            Accounts(store, resources.registration_limits),
            Passwords(options.passwords, resources.hash_workers),
            Lockout(store, options.lockout),
            Sessions(store, options.sessions),
            Revocations(store),
            resources.watcher,
        )

    def converse(self) -> None:
        with self.login():
            login = self._resumed() or self._log_in()
        if login is None:
            return
        if login.token is not None:
            self.store_token(login.token)
        self.say(f"Hello, {login.name}!")
        self._serve(login)

    def _resumed(self) -> "Login | None":
        token = self.recall_token()
        login = self.shared.resume(token) if token else None
        if login is not None:
            self.log.info("%s is back with a token", login.name)
        elif token:
            self.log.info("a token that is not good")
        return login

    def _log_in(self) -> "Login | None":
        """Who logged in, or None after three refusals; being too busy to look is none."""
        refusals = 0
        while refusals < _TRIES:
            try:
                return self._ask_who()
            except Busy as busy:
                self.log.warning("login not looked at: too busy")
                self.error(str(busy))
            except Refusal as refusal:
                refusals += 1
                self.log.warning("login refused: %s", refusal.reason)
                self.error(str(refusal))
        return None

    def _ask_who(self) -> "Login":
        from server.identity.logins import IMPOSSIBLE
        from server.identity.names import account_name

        last = self.shared.accounts.last_name_at(self.address)
        typed = self.ask(f"Name [{last}]: " if last else "Name: ").strip() or last or ""
        is_open = self.options.registration == "open"
        try:
            name = account_name(typed)
        except Refusal:
            if is_open:
                raise
            name = IMPOSSIBLE  # must not be told from a wrong password
        if is_open and self.shared.is_new(name):
            return self._register(name)
        login = self.shared.log_in(name, self.ask_secret("Password: "), self.address)
        self.log.info("%s logged in", login.name)
        return login

    def _register(self, name: "AccountName") -> "Login":
        login = self.shared.register(name, self._new_password("New name. Choose a password: "), self.address)
        self.log.info("%s registered and logged in", login.name)
        return login

    def _new_password(self, prompt: str) -> str:
        password = self.ask_secret(prompt)
        if self.ask_secret("Repeat the password: ") != password:
            raise Refusal("the two passwords differ")
        return password

    def _serve(self, login: "Login") -> None:
        """Echo and obey, until the user leaves or the session is ended elsewhere."""
        still_in: Login | None = login
        while still_in is not None:
            with self.shared.watcher.watching(still_in, self.request.interrupt):
                change_session = self._talk(still_in)
            # Not watched here: a revocation of its own must not end the connection that asked for it.
            still_in = change_session()

    def _talk(self, login: "Login") -> "Callable[[], Login | None]":
        """Serve the user up to a command that changes the session; what that command does, and who is in then."""
        while (change_session := self._obey(self.hear(), login)) is None:
            pass
        return change_session

    def _obey(self, line: str, login: "Login") -> "Callable[[], Login | None] | None":
        """Answer one line; what it does to the session, if anything."""
        if not line.startswith("/"):
            self.say(line)
        elif line == "/help":
            self.say(_HELP)
        elif line == "/whoami":
            self.say(login.name)
        elif line == "/password":
            present = self.ask_secret("Present password: ")
            try:
                return partial(self._change_password, login, present, self._new_password("New password: "))
            except Refusal as refusal:
                self.error(str(refusal))
        elif line in ("/logout", "/logout-all"):
            return partial(self._log_out, login, everywhere=line == "/logout-all")
        else:
            self.error(f"no such command: {line[:40]} (/help lists them)")
        return None

    def _change_password(self, login: "Login", present: str, new: str) -> "Login":
        try:
            changed = self.shared.change_password(login, present, new, self.address)
        except Refusal as refusal:
            self.log.warning("%s did not change the password: %s", login.name, refusal.reason)
            self.error(str(refusal))
            return login
        self.log.info("%s changed the password", login.name)
        self.store_token(changed.token or "")
        self.say("Your password is changed; your other sessions are ended.")
        return changed

    def _log_out(self, login: "Login", *, everywhere: bool) -> None:
        if everywhere:
            self.shared.log_out_everywhere(login)
        else:
            self.shared.log_out(login)
        self.log.info("%s logged out%s", login.name, " everywhere" if everywhere else "")
        self.store_token("")
        self.say("Goodbye!")
