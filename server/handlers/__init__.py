"""The modes, the base class of their handlers, and the resources that they share."""
