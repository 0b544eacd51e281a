"""The first start: questions whose answers are tried at once, and the config.json that comes out of them."""
