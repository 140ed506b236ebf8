"""What is taken away: erasures, unlinks, entries past their time; and what has to stay behind them."""
