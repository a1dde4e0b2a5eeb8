"""The SDK of the plugin that imports it."""
