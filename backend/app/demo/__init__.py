"""The scripted model provider and its scenarios, for the demo and for the tests."""
