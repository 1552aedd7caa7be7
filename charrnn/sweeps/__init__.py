"""Many runs side by side: what each reached, and a search for the best options."""
