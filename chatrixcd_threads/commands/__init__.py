"""Commands: what people can type. Each is one declared function in its own file in `verbs`."""
