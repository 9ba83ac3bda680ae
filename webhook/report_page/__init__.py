"""
The report as one HTML page that needs no other file and no network.

`page.html`, `page.css` and `page.js` are its parts, and `dagre-3.1.3.tgz` is the library that lays out the drawing: the
package as its authors published it, with its licence (MIT).
"""
