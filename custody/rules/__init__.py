"""The trade itself: one file a noun, each with its life and its rules. All pure."""
