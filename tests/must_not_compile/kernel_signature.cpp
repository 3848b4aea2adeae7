// CASE 0 compiles; each other one is a signature that no kernel has, or an argument that no
// template takes.
#include <opforge/builder/instantiation.hpp>
#include <opforge/driver/kernel.hpp>

#include <string>

#if CASE == 0
using Signature = void(float*, int);
#elif CASE == 1  // a kernel returns nothing
using Signature = int(float*);
#elif CASE == 2  // an address of the host's
using Signature = void(int&);
#elif CASE == 3  // not copied by its bytes
using Signature = void(std::string);
#else
using Signature = void();
#endif
using Kernel = opforge::driver::Kernel<Signature>;

std::size_t use() {
#if CASE == 4  // a type whose name on the device is not known
    return opforge::builder::instantiation("scale", opforge::builder::type<std::string>).size();
#else
    return sizeof(Kernel);
#endif
}
