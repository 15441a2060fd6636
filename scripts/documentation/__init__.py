"""What makes the documentation and checks it: reference pages, examples, links, pictures, the site."""
