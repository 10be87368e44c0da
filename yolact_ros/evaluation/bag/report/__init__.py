"""What an evaluation leaves for people, and its folder."""
