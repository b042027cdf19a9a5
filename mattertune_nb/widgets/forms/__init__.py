"""Forms made from config classes."""
