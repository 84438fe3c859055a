"""A history row, for the tests of single rows and of the whole list."""

from __future__ import annotations

ID = "2c7f59ea-13f1-402c-9353-915a2b5a2124"
URL = "https://images.segmind.com/generations/0001.mp4"
ROW = {"request_id": ID, "model_status": "COMPLETED", "credits_deduction": 1.46, "generation_url": URL}
