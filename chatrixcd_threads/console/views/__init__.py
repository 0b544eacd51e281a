"""The views: one file each. `base.View` is what they have in common."""
