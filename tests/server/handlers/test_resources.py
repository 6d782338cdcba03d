"""Resources: opened when asked for, once, and closed."""

from server.handlers.resources import Resources
from server.settings import RegistrationLimits
from tests.support import PorterTestCase


class ResourcesTests(PorterTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.resources = Resources(f"sqlite:///{self.folder}/data/porter.db", RegistrationLimits())

    def test_nothing_is_opened_that_nobody_asks_for(self) -> None:
        self.resources.close()
        self.assertFalse((self.folder / "data").exists())

    def test_each_is_opened_once_and_all_are_closed(self) -> None:
        resources = self.resources
        self.assertIs(resources.watcher, resources.watcher)
        self.assertIs(resources.store, resources.store)
        self.assertIs(resources.hash_workers, resources.hash_workers)
        self.assertEqual(5, resources.hash_workers.run(max, 3, 5))
        resources.close()
        resources.close()
