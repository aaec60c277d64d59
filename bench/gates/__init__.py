"""The gates against the champion, simulated: what they let through by chance, and what they find."""
