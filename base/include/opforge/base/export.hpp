// Marks what libopforge.so offers: everything else of it is hidden. The marks stand in a static
// build as well, since both libraries are made of the same objects; the package's link options hide
// them again in a host that links statically.
#pragma once

#if defined(__GNUC__)
#define OPFORGE_API __attribute__((visibility("default")))
#else
#define OPFORGE_API
#endif
