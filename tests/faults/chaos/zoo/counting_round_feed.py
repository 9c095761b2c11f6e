"""The counting model on several workers, fed record by record."""

from counting_feed import feed
from counting_round import CustomDataReader, callbacks, custom_model, loss, optimizer

__all__ = ["CustomDataReader", "callbacks", "custom_model", "feed", "loss", "optimizer"]
