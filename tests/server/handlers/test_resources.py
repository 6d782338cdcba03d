"""Resources: each is opened once, when it is first used, and closed."""

from server.handlers.resources import Resources
from server.settings import RegistrationLimits
from tests.support import PorterTestCase


class ResourcesTests(PorterTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.resources = Resources(f"sqlite:///{self.folder}/data/porter.db", RegistrationLimits())

    def test_an_unused_resource_is_not_opened(self) -> None:
        self.resources.close()
        self.assertFalse((self.folder / "data").exists())

    def test_each_resource_is_opened_once_and_all_are_closed(self) -> None:
        resources = self.resources
        self.assertIs(resources.watcher, resources.watcher)
        self.assertIs(resources.store, resources.store)
        self.assertIs(resources.hash_pool, resources.hash_pool)
        self.assertEqual(5, resources.hash_pool.run(max, 3, 5))
        resources.close()
        resources.close()
