"""A server and a client in Russian: what a user reads, and that kinds, commands, names and the log stay."""

import re

from common import PROJECT_ROOT
from common.wire.kinds import Kind
from tests.client.test_terminal import Screen
from tests.support import QUICK_HASHES, PorterTestCase, RunningServer

RU = "ru_RU.UTF-8"


class Russian(PorterTestCase):
    tls = True

    def client(self, server: RunningServer, *arguments: str) -> Screen:
        return Screen(self, "--port", str(server.port), "--no-input", *arguments, LC_ALL=RU)

    def test_a_conversation_is_in_russian_from_the_first_word_to_the_last(self) -> None:
        options = {"auth": {"options": QUICK_HASHES}}
        with self.server("auth", language="ru", handlers=options) as server:
            client = self.client(server)
            client.wait_for("Имя:")
            client.enter("Женя")
            client.wait_for_line("Придумайте пароль (не короче 8 символов):")
            client.enter("12345678")
            client.wait_for_line("это один из самых распространённых паролей")
            client.enter("верная лошадь")
            client.wait_for_line("Повторите пароль:")
            client.enter("верная лошадь")
            client.wait_for("Здравствуйте, Женя!", ">")
            self.assertIn("`exit` или Ctrl-D — выход.", "".join(client.lines()))
            client.enter("/help")
            client.wait_for_line("Любую другую строку сервер вернёт эхом.")
            self.assertIn("/logout-all  завершить все ваши сеансы", " ".join(client.lines()))
            client.enter("/frob")
            client.wait_for("нет такой команды: /frob (список даёт /help)", ">")
            client.enter("/logout")
            self.assertEqual(0, client.status())
            readme = (PROJECT_ROOT / "README.ru.md").read_text()
            shown = re.search(r"client --no-input\n(.*?)```", readme, re.DOTALL)
            assert shown is not None
            said = client.raw.decode()
            for line in shown[1].splitlines():
                word = line.removeprefix("> ").replace("127.0.0.1:9090", f"127.0.0.1:{server.port}").rstrip("*")
                self.assertIn(word, said + "привет")
            self.assertIn("Сервер закрыл соединение.", client.raw.decode())
            self.assertNotRegex("".join(line for line in server.log.messages if "Женя" not in line), "[А-я]")

    def test_a_wrong_password_and_a_stop_are_told_in_russian(self) -> None:
        with self.server("auth", language="ru", handlers={"auth": {"options": QUICK_HASHES}}) as server:
            talker = server.talk()
            talker.register("Женя")
            guesser = server.talk()
            guesser.give_token()
            self.assertEqual("неверное имя или пароль", guesser.fail("Женя"))
            server.service.stop_listening()
            server.service.drain()
            self.assertEqual((Kind.ERROR, "сервер останавливается"), talker.next())

    def test_a_chat_tells_in_russian_who_comes_and_goes(self) -> None:
        with self.server("chat", language="ru", handlers={"chat": {"options": QUICK_HASHES}}) as server:
            talker = server.talk()
            talker.register("Женя")
            talker.expect(Kind.TEXT, "* Женя здесь")
            talker.say("/join a b")
            self.assertIn("имя комнаты", talker.expect(Kind.ERROR))

    def test_a_reload_changes_the_language_of_new_clients(self) -> None:
        with self.server("auth", handlers={"auth": {"options": QUICK_HASHES}}) as server:
            server.service.apply(
                self.configuration(mode="auth", language="ru", handlers={"auth": {"options": QUICK_HASHES}})
            )
            talker = server.talk()
            talker.give_token()
            talker.expect(Kind.ASK, "Имя: ")

    def test_a_yes_may_be_russian_and_errors_are(self) -> None:
        screen = Screen(self, "--port", "1", "--no-input", LC_ALL=RU)
        self.assertEqual(69, screen.status())
        self.assertIn("не удаётся подключиться к 127.0.0.1:1", screen.raw.decode())
