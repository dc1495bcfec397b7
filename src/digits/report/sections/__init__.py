"""The sections of the page: each module answers one question and draws its charts."""
