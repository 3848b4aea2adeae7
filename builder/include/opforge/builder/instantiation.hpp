// Names of kernel templates' instances, made of typed arguments:
//
//     instantiation("scale", type<float>, value<256>)      // "scale<float, 256>"
//     instantiation("mine::apply", DeviceType{"mine::Add"}, value<true>)
//
// Such a name stands in ProgramSpec::kernels and in LoadedProgram::kernel(); the name that the
// compiler gave the instance is looked up once, when it is compiled, and kept in the cache entry.
#pragma once

#include <concepts>
#include <string>
#include <string_view>
#include <type_traits>

namespace opforge::builder {

/// How device code spells a type of the host's. Specialise it for your own: `static constexpr
/// std::string_view kName`.
template <class T>
struct DeviceTypeName {
    static_assert(sizeof(T) == 0, "opforge does not know how device code spells this type: "
                                  "specialise DeviceTypeName for it, or "
                                  "pass DeviceType{\"its name\"}");
};
template <>
struct DeviceTypeName<bool> {
    static constexpr std::string_view kName = "bool";
};
template <>
struct DeviceTypeName<char> {
    static constexpr std::string_view kName = "char";
};
template <>
struct DeviceTypeName<signed char> {
    static constexpr std::string_view kName = "signed char";
};
template <>
struct DeviceTypeName<unsigned char> {
    static constexpr std::string_view kName = "unsigned char";
};
template <>
struct DeviceTypeName<short> {
    static constexpr std::string_view kName = "short";
};
template <>
struct DeviceTypeName<unsigned short> {
    static constexpr std::string_view kName = "unsigned short";
};
template <>
struct DeviceTypeName<int> {
    static constexpr std::string_view kName = "int";
};
template <>
struct DeviceTypeName<unsigned int> {
    static constexpr std::string_view kName = "unsigned int";
};
template <>
struct DeviceTypeName<long> {
    static constexpr std::string_view kName = "long";
};
template <>
struct DeviceTypeName<unsigned long> {
    static constexpr std::string_view kName = "unsigned long";
};
template <>
struct DeviceTypeName<long long> {
    static constexpr std::string_view kName = "long long";
};
template <>
struct DeviceTypeName<unsigned long long> {
    static constexpr std::string_view kName = "unsigned long long";
};
template <>
struct DeviceTypeName<float> {
    static constexpr std::string_view kName = "float";
};
template <>
struct DeviceTypeName<double> {
    static constexpr std::string_view kName = "double";
};

/// A type argument of a kernel template.
template <class T>
struct TypeArgument {};
template <class T>
inline constexpr TypeArgument<T> type{};
/// A type that only device code has, by its qualified name there.
struct DeviceType {
    std::string_view name;
};
/// An argument that is a number, a bool or an enumerator.
template <auto V>
struct ValueArgument {};
template <auto V>
inline constexpr ValueArgument<V> value{};

template <class T>
[[nodiscard]] std::string spelling(TypeArgument<T> /*argument*/) {
    std::string text;
    if constexpr (std::is_pointer_v<T>) {
        text.append(spelling(TypeArgument<std::remove_pointer_t<T>>{})).append("*");
    } else if constexpr (std::is_const_v<T>) {
        text.append("const ").append(spelling(TypeArgument<std::remove_const_t<T>>{}));
    } else {
        text.append(DeviceTypeName<T>::kName);
    }
    return text;
}
[[nodiscard]] inline std::string spelling(DeviceType argument) {
    return std::string(argument.name);
}
template <auto V>
[[nodiscard]] std::string spelling(ValueArgument<V> /*argument*/) {
    using T = std::remove_cv_t<decltype(V)>;
    static_assert(std::is_integral_v<T> || std::is_enum_v<T>,
                  "a value argument is an integer, a bool or an enumerator");
    std::string text;
    if constexpr (std::is_same_v<T, bool>) {
        text.append(V ? "true" : "false");
    } else if constexpr (std::is_enum_v<T>) {
        text.append("(").append(DeviceTypeName<T>::kName).append(")");
        text.append(std::to_string(static_cast<std::underlying_type_t<T>>(V)));
    } else {
        if constexpr (!std::is_same_v<T, int>) {  // with its type: f<256> and f<256u> may be two
                                                  // instances
            text.append("(").append(DeviceTypeName<T>::kName).append(")");
        }
        text.append(std::to_string(V));
    }
    return text;
}

/// "kernel<arguments>", each argument as device code spells it. `kernel` is the template's
/// qualified name.
template <class... Arguments>
requires(sizeof...(Arguments) > 0) [[nodiscard]] std::string
    instantiation(std::string_view kernel, const Arguments&... arguments) {
    std::string text(kernel);
    text += '<';
    bool first = true;
    ((text.append(first ? "" : ", ").append(spelling(arguments)), first = false), ...);
    text += '>';
    return text;
}

}  // namespace opforge::builder
