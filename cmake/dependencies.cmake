# What the library takes from the system. fmt and nlohmann_json are used in sources only, never in a public header, and as
# header-only targets, so that no host program meets a second copy's symbols.
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(ZLIB)

# The static libcrypto: libcrypto.so adds 1.4 ms to the start of every process that only hashes a cache entry. Not by
# find_package(OpenSSL): its results are cache variables, and a host that builds this tree as a part of its own would
# get the static library for its own use of OpenSSL as well.
find_library(OPFORGE_CRYPTO_LIBRARY libcrypto.a DOC "The static libcrypto of OpenSSL 3")
find_path(OPFORGE_CRYPTO_INCLUDE_DIR openssl/sha.h DOC "Folder of openssl/sha.h")
mark_as_advanced(OPFORGE_CRYPTO_LIBRARY OPFORGE_CRYPTO_INCLUDE_DIR)
if(NOT OPFORGE_CRYPTO_LIBRARY OR NOT OPFORGE_CRYPTO_INCLUDE_DIR)
  message(FATAL_ERROR "opforge needs the static libcrypto of OpenSSL and its headers: install libssl-dev, or set "
    "OPFORGE_CRYPTO_LIBRARY and OPFORGE_CRYPTO_INCLUDE_DIR")
endif()
add_library(opforge_crypto INTERFACE)
target_include_directories(opforge_crypto SYSTEM INTERFACE $<BUILD_INTERFACE:${OPFORGE_CRYPTO_INCLUDE_DIR}>)
# An installed static opforge finds the library of the machine that it is used on: opforge-config.cmake.
target_link_libraries(opforge_crypto INTERFACE $<BUILD_INTERFACE:${OPFORGE_CRYPTO_LIBRARY}> ${CMAKE_DL_LIBS})

# Highway, of which only headers are used: the host backend's vectors. It brings no CMake package on Debian.
find_path(OPFORGE_HIGHWAY_INCLUDE_DIR hwy/highway.h DOC "Folder of hwy/highway.h")
if(NOT OPFORGE_HIGHWAY_INCLUDE_DIR)
  message(FATAL_ERROR "opforge needs Highway's headers: install libhwy-dev, or set OPFORGE_HIGHWAY_INCLUDE_DIR")
endif()
add_library(opforge_highway INTERFACE)
target_include_directories(opforge_highway SYSTEM INTERFACE ${OPFORGE_HIGHWAY_INCLUDE_DIR})

# CUDA's headers are all that is needed of a toolkit. find_package(CUDAToolkit) is only a hint: it fails where
# nothing but the wheels of the headers is installed.
find_package(CUDAToolkit QUIET)
set(_opforge_cuda_hints ${CUDAToolkit_INCLUDE_DIRS} $ENV{CUDA_PATH}/include $ENV{CUDA_HOME}/include
  ${PROJECT_SOURCE_DIR}/.toolchain/nvidia/cu13/include /usr/local/cuda/include /usr/local/cuda-13.0/include)
find_path(OPFORGE_CUDA_INCLUDE_DIR cuda.h HINTS ${_opforge_cuda_hints} DOC "Folder of cuda.h")
find_path(OPFORGE_NVRTC_INCLUDE_DIR nvrtc.h HINTS ${_opforge_cuda_hints} DOC "Folder of nvrtc.h")
if(NOT OPFORGE_CUDA_INCLUDE_DIR OR NOT OPFORGE_NVRTC_INCLUDE_DIR)
  message(FATAL_ERROR "opforge needs cuda.h and nvrtc.h: install a CUDA toolkit, or the wheels "
    "nvidia-cuda-runtime and nvidia-cuda-nvrtc (tools/bootstrap.sh does), or set OPFORGE_CUDA_INCLUDE_DIR and "
    "OPFORGE_NVRTC_INCLUDE_DIR")
endif()
add_library(opforge_cuda_headers INTERFACE)
target_include_directories(opforge_cuda_headers SYSTEM INTERFACE
  ${OPFORGE_CUDA_INCLUDE_DIR} ${OPFORGE_NVRTC_INCLUDE_DIR})
