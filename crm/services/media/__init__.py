"""Media of messages: fetched from the provider when it comes in, given to it when it goes out."""
