// Sets the theme before the first paint: the stored choice, else the system's.
(function () {
  var theme = null;
  try {
    theme = localStorage.getItem('aether.theme');
  } catch (e) {}
  if (theme !== 'dark' && theme !== 'light') {
    theme = window.matchMedia && matchMedia('(prefers-color-scheme: light)').matches ? 'light' : 'dark';
  }
  document.documentElement.dataset.theme = theme;
})();
