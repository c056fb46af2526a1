"""What all HTML pages share: templates, assets, response headers, and errors as pages."""
