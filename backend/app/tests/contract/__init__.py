"""What we rely on in OpenCode, proven on the real 1.18.33 and on the fake alike."""
